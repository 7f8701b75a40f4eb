//! The place of a report that is yet to be written.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::Path;

/// A file that can be written. Where it was made for this, it goes again when this is dropped, unless it is kept.
#[derive(Debug)]
pub(super) struct Reserved<'a> {
    pub(super) path: &'a Path,
    /// Whether there was none before.
    is_new: bool,
}

impl<'a> Reserved<'a> {
    /// Makes sure of it; what is there already stays as it is.
    pub(super) fn at(path: &'a Path) -> io::Result<Self> {
        let mut file = OpenOptions::new();
        match file.append(true).create_new(true).open(path) {
            Ok(_) => Ok(Self { path, is_new: true }),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                file.create_new(false).create(true).open(path)?;
                Ok(Self { path, is_new: false })
            }
            Err(error) => Err(error),
        }
    }

    /// The report stands in it.
    pub(super) fn keep(mut self) {
        self.is_new = false;
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if self.is_new {
            // Where it cannot be removed, nothing is lost but a name.
            let _ = fs::remove_file(self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_for_a_report_that_never_came_is_removed_and_nothing_else() {
        let home = tempfile::tempdir().expect("a temporary directory");
        let (new, kept, old) = (home.path().join("new"), home.path().join("kept"), home.path().join("old"));
        fs::write(&old, "an earlier one").expect("it is written");
        drop(Reserved::at(&new).expect("it can be written"));
        assert!(!new.exists());
        Reserved::at(&kept).expect("it can be written").keep();
        assert!(kept.exists());
        drop(Reserved::at(&old).expect("it can be written"));
        assert_eq!(fs::read_to_string(&old).expect("it is there"), "an earlier one");
        Reserved::at(&home.path().join("nowhere/report")).expect_err("there is no such directory");
    }
}
