use std::path::Path;

use tempfile::TempDir;

/// A directory that goes away with its owner, unless `HOLDFAST_TEST_KEEP` asks to keep it.
#[derive(Debug)]
pub(crate) struct Scratch(TempDir);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let keep = std::env::var_os("HOLDFAST_TEST_KEEP").is_some();
        let prefix = format!("holdfast-{name}-");
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).disable_cleanup(keep);
        let dir = builder.tempdir().expect("the system's temporary directory can be written");
        if keep {
            eprintln!("kept: {}", dir.path().display());
        }
        Self(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}
