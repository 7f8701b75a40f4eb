use std::future::Future;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::Process;

/// How long a server may take until it answers.
pub(crate) const READY_WITHIN: Duration = Duration::from_secs(60);

/// Asks until the answer is yes. Fails at once when the process has ended.
pub(crate) async fn ready<F: Future<Output = bool>>(name: &str, process: &mut Process, ask: impl Fn() -> F) {
    let until = Instant::now() + READY_WITHIN;
    let mut ticks = interval(Duration::from_millis(20));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if ask().await {
            return;
        }
        if let Some(status) = process.ended() {
            panic!("{name} ended instead of answering ({status})");
        }
        assert!(Instant::now() < until, "{name} does not answer within {READY_WITHIN:?}");
    }
}

/// A user that is not root, as some servers demand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct User {
    uid: u32,
    gid: u32,
}

impl User {
    /// `postgres` or `nobody` where the test runs as root; None where it does not.
    pub(crate) fn instead_of_root() -> Option<Self> {
        let me = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").ok()?);
        if me != 0 {
            return None;
        }
        let users = std::fs::read_to_string("/etc/passwd").expect("the system has users");
        ["postgres", "nobody"].iter().find_map(|name| Self::in_passwd(&users, name))
    }

    fn in_passwd(users: &str, name: &str) -> Option<Self> {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some(Self { uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? })
    }

    pub(crate) fn own(self, path: &Path) {
        chown(path, Some(self.uid), Some(self.gid)).expect("root may give files away");
    }

    pub(crate) fn run(self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }
}

/// A program on the PATH or in one of the folders, with what to type where it is missing.
pub(crate) fn program(name: &str, folders: impl IntoIterator<Item = PathBuf>, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    folders
        .into_iter()
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("{name} is missing: apt-get install {package}, or run tests/run as root"))
}
