//! Which programs of a server this machine has, and as whom they may run.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use rustix::process::geteuid;
use tokio::process::Command;

use super::Store;

/// Where Debian has PostgreSQL's programs, which are not on the PATH, by version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// What there is of a server.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(super) store: Store,
    /// The server itself.
    pub(super) server: PathBuf,
    /// What makes its files, where that is another program.
    pub(super) maker: Option<PathBuf>,
    /// As whom it runs; None runs it as who we are.
    pub(super) user: Option<User>,
}

/// Somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct User {
    uid: u32,
    gid: u32,
}

impl Found {
    /// What this machine has of it; else what to do about it.
    pub(crate) fn on_this_machine(store: Store) -> Result<Self, String> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path: Vec<_> = std::env::split_paths(&path).collect();
        match store {
            Store::Redis => {
                let server = program("redis-server", &path).ok_or_else(|| missing("redis-server", "redis-server"))?;
                Ok(Self { store, server, maker: None, user: None })
            }
            Store::Postgres => {
                let folders: Vec<_> = debian(Path::new(DEBIAN)).into_iter().chain(path).collect();
                let both = |folder: &PathBuf| Some((program_in(folder, "initdb")?, program_in(folder, "postgres")?));
                let found = folders.iter().find_map(both).ok_or_else(|| missing("postgres", "postgresql"))?;
                let user = if geteuid().is_root() { Some(User::instead_of_root()?) } else { None };
                Ok(Self { store, server: found.1, maker: Some(found.0), user })
            }
        }
    }

    /// A command that runs as it has to.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        // The folder that we stand in may be closed to somebody else.
        command.current_dir("/");
        if let Some(user) = self.user {
            command.uid(user.uid).gid(user.gid);
        }
        command
    }

    /// Gives a file or folder to who it runs as.
    pub(super) fn give(&self, path: &Path) -> std::io::Result<()> {
        self.user.map_or(Ok(()), |user| chown(path, Some(user.uid), Some(user.gid)))
    }
}

fn missing(program: &str, package: &str) -> String {
    format!("this machine has no {program}; install it (on Debian: apt-get install {package}) and rehearse again")
}

fn program(name: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    folders.iter().find_map(|folder| program_in(folder, name))
}

fn program_in(folder: &Path, name: &str) -> Option<PathBuf> {
    let path = folder.join(name);
    let is_program = |found: fs::Metadata| found.is_file() && found.permissions().mode() & 0o111 != 0;
    fs::metadata(&path).is_ok_and(is_program).then_some(path)
}

/// The folders of all versions, the newest first.
fn debian(folder: &Path) -> Vec<PathBuf> {
    let versions = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<f64>().ok();
    let mut versions: Vec<_> = versions.filter_map(|path| Some((number(&path)?, path.join("bin")))).collect();
    versions.sort_by(|one, other| other.0.total_cmp(&one.0));
    versions.into_iter().map(|(_, bin)| bin).collect()
}

impl User {
    /// PostgreSQL refuses to be root; somebody else must be there, and must get at temporary files.
    fn instead_of_root() -> Result<Self, String> {
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let user = ["postgres", "nobody"].iter().find_map(|name| Self::in_passwd(&users, name));
        let user = user.ok_or("it does not run as root, and there is neither a user postgres nor nobody")?;
        let temporary = std::env::temp_dir();
        if is_open(&temporary) {
            return Ok(user);
        }
        Err(format!("it does not run as root, and nobody else gets into {}: set TMPDIR", temporary.display()))
    }

    fn in_passwd(users: &str, name: &str) -> Option<Self> {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some(Self { uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? })
    }
}

/// Whether anybody gets through to a folder.
fn is_open(folder: &Path) -> bool {
    let Ok(folder) = folder.canonicalize() else { return false };
    folder.ancestors().all(|folder| fs::metadata(folder).is_ok_and(|found| found.mode() & 0o001 != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(folder: &Path, name: &str, mode: u32) {
        fs::create_dir_all(folder).expect("a folder");
        fs::write(folder.join(name), "#!/bin/sh\n").expect("a file");
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode)).expect("it is ours");
    }

    #[test]
    fn a_program_is_found_where_it_can_be_run_and_nowhere_else() {
        let home = tempfile::tempdir().expect("a temporary directory");
        let [first, second] = ["first", "second"].map(|name| home.path().join(name));
        put(&first, "redis-server", 0o644);
        assert_eq!(program("redis-server", &[first.clone(), second.clone()]), None, "it cannot be run");
        put(&second, "redis-server", 0o755);
        assert_eq!(program("redis-server", &[first, second.clone()]), Some(second.join("redis-server")));
        assert!(missing("postgres", "postgresql").contains("apt-get install postgresql"));
    }

    #[test]
    fn the_newest_version_goes_first_by_its_number() {
        let home = tempfile::tempdir().expect("a temporary directory");
        for version in ["9.6", "17", "15", "common"] {
            fs::create_dir_all(home.path().join(version)).expect("a folder");
        }
        let versions = debian(home.path()).into_iter().filter_map(|bin| Some(bin.parent()?.file_name()?.to_owned()));
        assert_eq!(versions.collect::<Vec<_>>(), ["17", "15", "9.6"]);
    }

    #[test]
    fn somebody_is_found_by_name_and_gets_only_where_everybody_may() {
        let users = "root:x:0:0::/:/bin/sh\nnobody:x:65534:65533::/:/bin/false\n";
        assert_eq!(User::in_passwd(users, "nobody"), Some(User { uid: 65_534, gid: 65_533 }));
        assert_eq!(User::in_passwd(users, "postgres"), None);
        let home = tempfile::tempdir().expect("a temporary directory");
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).expect("it is ours");
        assert!(!is_open(home.path()), "nobody else gets in");
        assert!(is_open(Path::new("/")));
    }
}
