use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;
use tokio::time::interval;

use crate::scratch::Scratch;
use crate::server::{User, program, ready};
use crate::{Process, Signal, ports};

/// Where PostgreSQL keeps what its processes share.
const SEGMENTS: &str = "/dev/shm/PostgreSQL.";

/// A PostgreSQL of the test's own. It refuses to run as root, so it then runs as another user.
#[derive(Debug)]
pub struct Postgres {
    process: Process,
    port: u16,
    scratch: Scratch,
}

impl Postgres {
    /// Makes a cluster, starts it and waits until it takes connections.
    pub async fn start() -> Self {
        let scratch = Scratch::new("postgres");
        if let Some(user) = User::instead_of_root() {
            user.own(scratch.path());
        }
        let mut copy = Command::new("cp");
        copy.arg("-a").arg(template().await).arg(scratch.path().join("data"));
        run("cp", copy).await;
        let port = ports::free();
        let process = spawn(port, scratch.path()).await;
        Self { process, port, scratch }
    }

    /// Its URL: user holdfast, database postgres, no password.
    pub fn url(&self) -> String {
        format!("postgres://holdfast@127.0.0.1:{}/postgres", self.port)
    }

    /// Its port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Where its files are.
    pub fn directory(&self) -> &Path {
        self.scratch.path()
    }

    /// Kills it with SIGKILL, and waits until its children have noticed and ended: until then they commit what they have.
    pub async fn kill(&mut self) {
        self.process.kill().await;
        self.orphans_have_ended().await;
    }

    /// Starts it again, with the same port and files.
    pub async fn restart(&mut self) {
        self.kill().await;
        self.process = spawn(self.port, self.scratch.path()).await;
    }

    /// Waits for the children of a killed server: as long as one is there, no other server works on their files.
    async fn orphans_have_ended(&self) {
        let data = self.scratch.path().join("data");
        let works_here = |process: &Path| std::fs::read_link(process.join("cwd")).is_ok_and(|at| at == data);
        let mut ticks = interval(Duration::from_millis(10));
        loop {
            ticks.tick().await;
            let mut processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
            if !processes.any(|process| works_here(&process.path())) {
                return;
            }
        }
    }

    /// Freezes or thaws its first process: connections are then accepted by nobody.
    pub async fn signal(&self, signal: Signal) {
        self.process.signal(signal).await;
    }

    /// Runs one statement and gives its rows as psql prints them, unaligned.
    ///
    /// # Panics
    /// Where the statement fails.
    pub async fn query(&self, statement: &str) -> String {
        let answer = psql(self.port, statement).await;
        assert!(answer.status.success(), "{statement}: {}", String::from_utf8_lossy(&answer.stderr));
        String::from_utf8_lossy(&answer.stdout).trim_end().to_owned()
    }
}

impl Drop for Postgres {
    /// A killed server leaves its shared memory behind, until the machine ends, and there is only so much of that.
    fn drop(&mut self) {
        let pid_file = std::fs::read_to_string(self.scratch.path().join("data/postmaster.pid")).unwrap_or_default();
        let mut lines = pid_file.lines();
        let maps = lines.next().and_then(|pid| std::fs::read_to_string(format!("/proc/{pid}/maps")).ok());
        for mapped in maps.iter().flat_map(|maps| maps.lines()) {
            if let Some(at) = mapped.find(SEGMENTS) {
                // Some are mapped more than once.
                let _ = std::fs::remove_file(&mapped[at..]);
            }
        }
        // The seventh line: the key and the number of the segment that tells whether a server is there.
        if let Some(segment) = lines.nth(5).and_then(|line| line.split_whitespace().nth(1)) {
            let _ = std::process::Command::new("ipcrm").args(["-m", segment]).stderr(Stdio::null()).status();
        }
    }
}

/// A cluster as initdb makes it, made once for all tests of this user: to copy it takes a fraction of the time.
async fn template() -> PathBuf {
    let mut version = tool("initdb");
    version.arg("--version");
    let version: String = run("initdb", version).await.chars().filter(|c| c.is_ascii_alphanumeric()).collect();
    let me = std::fs::metadata("/proc/self").map_or(0, |own| MetadataExt::uid(&own));
    let made = std::env::temp_dir().join(format!("holdfast-{version}-{me}"));
    if made.join("data").is_dir() {
        return made.join("data");
    }
    let scratch = Scratch::new("initdb");
    if let Some(user) = User::instead_of_root() {
        user.own(scratch.path());
    }
    let mut initdb = tool("initdb");
    initdb.arg("--pgdata").arg(scratch.path().join("data"));
    initdb.args(["--auth", "trust", "--username", "holdfast", "--encoding", "UTF8", "--no-locale", "--no-sync"]);
    run("initdb", initdb).await;
    std::fs::create_dir_all(&made).expect("the system's temporary directory can be written");
    // Whole or not at all. Where another test was quicker, its template is as good.
    let _ = std::fs::rename(scratch.path().join("data"), made.join("data"));
    made.join("data")
}

/// Runs a program that must succeed; what it says.
async fn run(name: &str, mut command: Command) -> String {
    let done = command.output().await.unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
    assert!(done.status.success(), "{name}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}

async fn spawn(port: u16, directory: &Path) -> Process {
    let mut postgres = tool("postgres");
    postgres.arg("-D").arg(directory.join("data")).arg("-k").arg(directory).arg("-p").arg(port.to_string());
    postgres.args(["-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200"]);
    let mut process = Process::start("postgres", postgres, directory);
    ready("postgres", &mut process, || async { psql(port, "SELECT 1").await.status.success() }).await;
    process
}

async fn psql(port: u16, statement: &str) -> Output {
    let mut psql = tool("psql");
    psql.args(["--host", "127.0.0.1", "--port", &port.to_string(), "--username", "holdfast", "--dbname", "postgres"]);
    psql.args(["--no-psqlrc", "--tuples-only", "--no-align", "--command", statement]);
    psql.output().await.expect("psql can be started")
}

/// One of PostgreSQL's programs, as a user that it accepts. Debian keeps them off the PATH.
fn tool(name: &str) -> Command {
    let mut command = Command::new(program(name, debian_folders(), "postgresql"));
    if let Some(user) = User::instead_of_root() {
        user.run(&mut command);
    }
    command.current_dir("/");
    command
}

fn debian_folders() -> Vec<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
    folders.sort();
    folders.reverse();
    folders
}
