//! Runs the executable in a directory of the test's own.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use holdfast_testkit::Signal;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

/// An empty directory, and commands that run in it without any setting of whoever runs the tests.
pub struct Place {
    directory: tempfile::TempDir,
}

/// A command that has ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Place {
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a temporary directory") }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a file and gives its path.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a file stands in a directory")).expect("it can be made");
        std::fs::write(&path, text).expect("the test's directory can be written");
        path
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HOLDFAST_") || name.starts_with("OTEL_"))
        {
            command.env_remove(name);
        }
        command.args(arguments).current_dir(self.path()).stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    pub async fn run(&self, arguments: &[&str]) -> Ended {
        end(self.command(arguments)).await
    }

    /// Starts `up` on free ports, with JSON lines.
    pub fn up(&self, arguments: &[&str]) -> Up {
        let base = free_ports();
        let base_text = base.to_string();
        let arguments = [arguments, &["--json", "up", "--port-base", &base_text]].concat();
        Up::start(self.command(&arguments), base)
    }
}

/// Runs a command to its end.
pub async fn end(mut command: Command) -> Ended {
    let output = command.output().await.expect("the executable runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Ended { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

/// A running `up`.
pub struct Up {
    pub base: u16,
    child: Child,
    lines: mpsc::UnboundedReceiver<String>,
    said: Vec<String>,
}

impl Up {
    pub fn start(mut command: Command, base: u16) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the executable runs");
        let (sender, lines) = mpsc::unbounded_channel();
        pass_on(child.stdout.take().expect("piped"), sender.clone());
        pass_on(child.stderr.take().expect("piped"), sender);
        Self { base, child, lines, said: Vec::new() }
    }

    /// Waits for an event of a kind, and for a service where one is named.
    pub async fn event(&mut self, kind: &str, service: Option<&str>) -> Value {
        while let Some(line) = self.lines.recv().await {
            self.said.push(line.clone());
            let Ok(document) = serde_json::from_str::<Value>(&line) else { continue };
            let fits = service.is_none_or(|service| document["service"] == service);
            if document["event"] == kind && fits {
                return document;
            }
        }
        panic!("`up` ended without {kind} {service:?}:\n{}", self.said.join("\n"));
    }

    pub async fn signal(&self, signal: Signal) {
        signal.send(self.pid()).await;
    }

    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Its exit code, once all that it said was read.
    pub async fn end(mut self) -> i32 {
        while let Some(line) = self.lines.recv().await {
            self.said.push(line);
        }
        self.child.wait().await.expect("it can be waited for").code().unwrap_or(-1)
    }

    /// The process of a service: the child of ours that was started with its name.
    pub fn service(&self, name: &str) -> u32 {
        let children = children(self.pid());
        let found = children.iter().find(|(_, command)| command.iter().any(|word| word == name));
        found.unwrap_or_else(|| panic!("no process {name} among {children:?}")).0
    }

    /// The processes of all services.
    pub fn services(&self) -> Vec<u32> {
        children(self.pid()).into_iter().map(|(pid, _)| pid).collect()
    }

    pub fn gateway(&self) -> String {
        format!("http://127.0.0.1:{}", self.base)
    }
}

fn pass_on(pipe: impl AsyncRead + Unpin + Send + 'static, lines: mpsc::UnboundedSender<String>) {
    let mut reader = BufReader::new(pipe).lines();
    tokio::spawn(async move {
        while let Ok(Some(line)) = reader.next_line().await {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
}

/// The direct children of a process, with their command lines.
fn children(parent: u32) -> Vec<(u32, Vec<String>)> {
    let processes = std::fs::read_dir("/proc").expect("Linux").filter_map(Result::ok);
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| parent_of(*pid) == Some(parent)).map(|pid| (pid, words(pid))).collect()
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may contain anything.
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

fn words(pid: u32) -> Vec<String> {
    let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split('\0').map(str::to_owned).collect()
}

/// Whether a process is there and not only waits to be taken note of.
pub fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Whether the kernel may give a process huge pages.
pub fn takes_huge_pages(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it is alive");
    status.lines().any(|line| line.strip_prefix("THP_enabled:").is_some_and(|value| value.trim() == "1"))
}

/// The first of as many neighbouring ports as a mesh needs.
pub fn free_ports() -> u16 {
    holdfast_testkit::free_ports(7)
}
