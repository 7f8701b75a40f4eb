use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use tokio::process::{Child, Command};

/// What can be sent to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Ends it at once.
    Kill,
    /// Asks it to end.
    Terminate,
    /// What Ctrl-C sends.
    Interrupt,
    /// Freezes it.
    Stop,
    /// Thaws it.
    Continue,
}

impl Signal {
    const fn name(self) -> &'static str {
        match self {
            Self::Kill => "KILL",
            Self::Terminate => "TERM",
            Self::Interrupt => "INT",
            Self::Stop => "STOP",
            Self::Continue => "CONT",
        }
    }

    /// Sends it to a process by its id.
    ///
    /// # Panics
    /// Where there is no such process.
    pub async fn send(self, pid: u32) {
        assert!(self.try_send(pid).await, "process {pid} is not there");
    }

    /// Sends it to a process by its id; false where there is no such process.
    pub async fn try_send(self, pid: u32) -> bool {
        // A shell always knows `kill`; the system call itself would need unsafe code.
        let kill = format!("kill -{} {pid} 2>/dev/null", self.name());
        Command::new("sh").arg("-c").arg(kill).status().await.expect("the system has a shell").success()
    }
}

/// A process with its log. Ends with this value; its log is printed when the test fails.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a command; what it prints goes to `NAME.log` in the directory, after what is there already.
    ///
    /// # Panics
    /// Where it cannot be started.
    pub fn start(name: &str, mut command: Command, directory: &Path) -> Self {
        let log = directory.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log).expect("the test's directory can be written");
        let errors = file.try_clone().expect("a file can be opened twice");
        let child = command
            .stdin(Stdio::piped())
            .stdout(file)
            .stderr(errors)
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Self { name: name.to_owned(), child, log }
    }

    /// Its id.
    ///
    /// # Panics
    /// Once it has ended.
    pub fn id(&self) -> u32 {
        self.child.id().unwrap_or_else(|| panic!("{} has ended", self.name))
    }

    /// Sends it a signal.
    pub async fn signal(&self, signal: Signal) {
        signal.send(self.id()).await;
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// Where the system refuses to say.
    pub async fn wait(&mut self) -> ExitStatus {
        self.child.wait().await.expect("a child can be waited for")
    }

    /// Kills it and waits for its end.
    pub async fn kill(&mut self) {
        self.child.start_kill().ok();
        self.wait().await;
    }

    /// Whether it has ended, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be asked")
    }

    /// Everything that it has printed.
    pub fn log(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        eprintln!("---- the last lines of {}", self.name);
        for line in &lines[lines.len().saturating_sub(40)..] {
            eprintln!("{line}");
        }
    }
}
