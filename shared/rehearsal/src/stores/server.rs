//! A server of ours: the same port, password and files through all of its lives.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::{Instant, interval, timeout};

use super::{Found, Store, postgres, redis, warden};
use crate::error::Error;
use crate::mesh::{last_lines, ports};

/// What it may take to serve, or to be gone: much more than it does.
const WITHIN: Duration = Duration::from_secs(60);
/// What it may take to end when it is asked to.
const END_WITHIN: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);

/// A PostgreSQL or a Redis.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) found: Found,
    pub(super) port: u16,
    /// What only it has: its files and its log.
    pub(super) folder: PathBuf,
    pub(super) password: String,
    life: Option<Life>,
}

/// What runs.
#[derive(Debug)]
struct Life {
    child: Child,
    warden: Child,
}

impl Server {
    /// In a new folder, on a port that is free.
    pub(super) fn new(found: Found, folder: &Path) -> Result<Self, Error> {
        let port = ports::free_range(1).ok_or_else(|| Error::Machine("this machine has no free port".into()))?;
        let password = format!("{:032x}", rand::random::<u128>());
        let server = Self { found, port, folder: folder.to_owned(), password, life: None };
        fs::create_dir(&server.folder).and_then(|()| server.found.give(&server.folder)).map_err(server.cannot())?;
        Ok(server)
    }

    pub(super) const fn store(&self) -> Store {
        self.found.store
    }

    /// Where its files are.
    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// By which a mesh finds it.
    pub(super) fn url(&self) -> String {
        let (port, password) = (self.port, &self.password);
        match self.store() {
            Store::Postgres => format!("postgres://{}:{password}@127.0.0.1:{port}/postgres", postgres::USER),
            Store::Redis => format!("redis://:{password}@127.0.0.1:{port}"),
        }
    }

    /// Makes what it needs before its first life.
    pub(super) async fn prepare(&self) -> Result<(), Error> {
        match &self.found.maker {
            Some(maker) => postgres::make(self, maker).await,
            None => {
                let made = fs::create_dir(self.data()).and_then(|()| self.found.give(&self.data()));
                made.and_then(|()| redis::configure(self)).map_err(self.cannot())
            }
        }
    }

    /// Starts it, with whatever files it has, and waits until it serves.
    pub(super) async fn begin(&mut self) -> Result<(), Error> {
        let mut child = self.spawn().map_err(self.cannot())?;
        let process = child.id().ok_or_else(|| Error::Machine(format!("a {} ended at once", self.store().name())))?;
        let warden = warden::of(process).map_err(self.cannot())?;
        let (end, mut looks) = (Instant::now() + WITHIN, interval(LOOK));
        loop {
            looks.tick().await;
            if let Ok(Some(status)) = child.try_wait() {
                return Err(self.ended(&format!("does not start ({status})")));
            }
            if self.is_ready(process).await {
                self.life = Some(Life { child, warden });
                return Ok(());
            }
            if Instant::now() >= end {
                return Err(self.ended("does not come up"));
            }
        }
    }

    /// Kills it, and with it all that works on its files: as on a machine that loses its power, none of them says good-bye.
    pub(super) async fn kill(&mut self) -> Result<(), Error> {
        if let Some(mut life) = self.life.take() {
            let _ = life.warden.kill().await;
            let _ = life.child.kill().await;
        }
        let (end, mut looks) = (Instant::now() + WITHIN, interval(LOOK));
        loop {
            looks.tick().await;
            let left = works_in(&self.data());
            if left.is_empty() {
                return Ok(());
            }
            for process in left {
                // It may be gone already, which is as good.
                let _ = kill_process(process, Signal::KILL);
            }
            if Instant::now() >= end {
                return Err(self.ended("cannot be killed"));
            }
        }
    }

    /// Takes away all that it had.
    pub(super) fn clear(&self) -> Result<(), Error> {
        let cleared = fs::remove_dir_all(self.data()).and_then(|()| fs::create_dir(self.data()));
        cleared.and_then(|()| self.found.give(&self.data())).map_err(self.cannot())
    }

    /// Whether it runs, unless it was killed.
    pub(super) fn lives(&mut self) -> Result<(), Error> {
        match self.life.as_mut().map(|life| life.child.try_wait()) {
            Some(Ok(Some(status))) => Err(self.ended(&format!("ended by itself ({status})"))),
            _ => Ok(()),
        }
    }

    /// Asks it to end, for it has more to give back than its files; then kills it.
    pub(super) async fn stop(mut self) {
        if let Some(life) = &mut self.life {
            if let Some(process) = life.child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
                let _ = kill_process(process, Signal::INT);
            }
            let _ = timeout(END_WITHIN, life.child.wait()).await;
        }
        // Whoever is left holds files that are about to be deleted.
        let _ = self.kill().await;
    }

    fn spawn(&self) -> io::Result<Child> {
        let mut command = match self.store() {
            Store::Postgres => postgres::command(self),
            Store::Redis => self.redis(),
        };
        let log = File::options().create(true).append(true).open(self.log())?;
        // Ctrl-C reaches us alone: we end what we have started.
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0).kill_on_drop(true).spawn()
    }

    fn redis(&self) -> Command {
        let mut command = self.found.command(&self.found.server);
        command.arg(redis::configuration(&self.folder));
        command
    }

    async fn is_ready(&self, process: u32) -> bool {
        match self.store() {
            Store::Postgres => postgres::is_ready(self, process),
            Store::Redis => redis::is_ready(self).await,
        }
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    fn ended(&self, how: &str) -> Error {
        Error::Machine(format!("the rehearsal's {} {how}:\n{}", self.store().name(), last_lines(&self.log())))
    }

    fn cannot(&self) -> impl Fn(io::Error) -> Error + use<> {
        let name = self.store().name();
        move |error| Error::Machine(format!("a {name} cannot be started: {error}"))
    }
}

/// The processes that stand in a folder, as a server and all that it starts stand in that of its files.
fn works_in(folder: &Path) -> Vec<Pid> {
    // As the system names it, and not as it was given to us.
    let Ok(folder) = folder.canonicalize() else { return Vec::new() };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let here = processes.filter(|process| fs::read_link(process.path().join("cwd")).is_ok_and(|at| at == folder));
    here.filter_map(|process| Pid::from_raw(process.file_name().to_str()?.parse().ok()?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server of this machine; None where it has none.
    async fn server(store: Store, home: &Path) -> Option<Server> {
        let found = Found::on_this_machine(store).ok()?;
        let mut server = Server::new(found, &home.join("server")).expect("there is room");
        server.prepare().await.expect("it is made");
        server.begin().await.expect("it starts");
        Some(server)
    }

    fn home() -> tempfile::TempDir {
        use std::os::unix::fs::PermissionsExt as _;
        let mut home = tempfile::Builder::new();
        home.permissions(fs::Permissions::from_mode(0o711)).tempdir().expect("a temporary directory")
    }

    #[tokio::test]
    async fn a_server_is_killed_with_all_that_works_for_it_and_comes_back_with_its_files() {
        for store in [Store::Postgres, Store::Redis] {
            let home = home();
            let Some(mut server) = server(store, home.path()).await else { continue };
            let url = server.url();
            assert!(!works_in(&server.data()).is_empty(), "its processes are known by their folder");
            server.kill().await.expect("it can be killed");
            assert!(works_in(&server.data()).is_empty());
            server.lives().expect("who was killed did not end by itself");
            server.begin().await.expect("it finds its files as they were");
            assert_eq!(server.url(), url);
            server.stop().await;
        }
    }

    #[tokio::test]
    async fn one_that_ends_by_itself_is_noticed_and_its_log_is_shown() {
        let home = home();
        let Some(mut server) = server(Store::Redis, home.path()).await else { return };
        server.lives().expect("it runs");
        let Some(life) = &mut server.life else { panic!("it has begun") };
        let process = life.child.id().and_then(|id| Pid::from_raw(id.cast_signed())).expect("it runs");
        kill_process(process, Signal::TERM).expect("it runs");
        life.child.wait().await.expect("it ends");
        let why = server.lives().expect_err("it has ended").to_string();
        assert!(why.contains("Redis ended by itself") && why.contains("bye bye"), "{why}");
        server.stop().await;
    }

    #[tokio::test]
    async fn one_that_was_cleared_knows_nothing_any_more() {
        let home = home();
        let Some(mut server) = server(Store::Redis, home.path()).await else { return };
        fs::write(server.data().join("something"), "x").expect("it is there");
        server.kill().await.expect("it can be killed");
        server.clear().expect("its files are ours");
        server.begin().await.expect("it begins anew");
        assert!(!server.data().join("something").exists());
        server.stop().await;
    }
}
