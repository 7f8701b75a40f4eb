//! One process per data directory.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use crate::OpenError;

/// The right to use a service's files in a data directory, until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct DirectoryLock {
    file: File,
    path: PathBuf,
}

impl DirectoryLock {
    /// Takes `<directory>/<name>.lock`, making the directory where it is missing.
    ///
    /// # Errors
    /// [`OpenError::InUse`] when another process (or another part of this one) holds it, [`OpenError::Directory`] when
    /// the directory cannot be written.
    pub fn take(directory: &Path, name: &str) -> Result<Self, OpenError> {
        let unwritable = |source| OpenError::Directory { path: directory.to_path_buf(), source };
        std::fs::create_dir_all(directory).map_err(unwritable)?;
        let path = directory.join(format!("{name}.lock"));
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(unwritable)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file, path }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path }),
            Err(TryLockError::Error(source)) => Err(unwritable(source)),
        }
    }

    /// The lock's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // Closing would do; unlocking first frees it even while a forked child still has the descriptor.
        let _ = self.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let first = DirectoryLock::take(directory.path(), "queue").unwrap();
        let refused = DirectoryLock::take(directory.path(), "queue").unwrap_err();
        assert!(matches!(&refused, OpenError::InUse { path } if path == first.path()));
        assert!(refused.to_string().contains("queue.lock"), "{refused}");
        drop(first);
        DirectoryLock::take(directory.path(), "queue").unwrap();
    }
}
