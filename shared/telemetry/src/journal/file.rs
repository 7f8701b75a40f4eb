//! The file of a journal. What spans say of callers and their work is for nobody else on the machine.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
};

/// Where records go.
pub(super) trait Disk: Write + Send + fmt::Debug {
    /// Takes away all that was written after the first so many bytes.
    fn cut(&mut self, bytes: usize) -> io::Result<()>;
}

impl Disk for File {
    fn cut(&mut self, bytes: usize) -> io::Result<()> {
        self.set_len(bytes as u64)
    }
}

/// Opens the file for its owner alone, also where an earlier release made it for everybody.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(file)
}
