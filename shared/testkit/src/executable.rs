use std::path::{Path, PathBuf};

/// The `holdfast` executable of the profile under which the test itself was built.
///
/// # Panics
/// With what to type, where there is none.
pub fn executable() -> PathBuf {
    if let Some(named) = std::env::var_os("HOLDFAST_EXECUTABLE") {
        return named.into();
    }
    let test = std::env::current_exe().expect("a running program has a path");
    let found = beside(&test).join("holdfast");
    assert!(
        found.is_file(),
        "{} is missing: build it with `cargo build -p holdfast`, or run `tests/run`, which does",
        found.display()
    );
    found
}

/// Tests stand in target/<profile>/deps, programs in target/<profile>.
fn beside(test: &Path) -> &Path {
    let folder = test.parent().expect("a program stands in a folder");
    if folder.ends_with("deps") { folder.parent().expect("deps stands in a profile's folder") } else { folder }
}

/// A file of the material from outside the project (`HOLDFAST_TEST_DATA`), or None, said on stderr, where it is not there.
pub fn data(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("HOLDFAST_TEST_DATA").map_or_else(beside_the_project, PathBuf::from);
    let file = root.join(path);
    if file.exists() {
        return Some(file);
    }
    eprintln!("SKIPPED: {} is not there (HOLDFAST_TEST_DATA names the folder)", file.display());
    None
}

fn beside_the_project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data")
}
