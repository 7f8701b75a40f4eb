//! A server that is started by us and spoken to over its standard input and output.
//!
//! It runs in a process group with a guard: a shell that waits for the end of its input and then kills the group. The
//! input is a pipe that this process holds, so whatever ends the proxy, SIGKILL included, ends the server with all that
//! it has started, and no code is needed for that when the time comes.

mod words;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use holdfast_config::Secret;
use holdfast_rpc::service::start_program;
use rmcp::transport::async_rw::AsyncRwTransport;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;
use tracing::{debug, warn};

use super::session::{Bell, Greeting, Session};
use super::{PAGE_BYTES_MAX, Unmet, message_bytes_max};
use crate::config::Mcp;

/// What a program needs of our environment; everything else in it may be a secret.
const INHERITED: [&str; 5] = ["PATH", "HOME", "USER", "LANG", "TMPDIR"];

/// Sends its group the signals that it reads, and at the end of its input the last one.
const GUARD: &str = r#"trap "" TERM; while read -r signal; do kill -s "$signal" 0; done; kill -s KILL 0"#;

/// How long a server may take to end by itself once its input is closed, and once more when it was asked to.
const GRACE: Duration = Duration::from_secs(2);

/// How a server is started.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    server: String,
    command: Vec<String>,
    env: BTreeMap<String, String>,
    secret_env: BTreeMap<String, Secret>,
    directory: Option<PathBuf>,
    /// A longer message is not kept, and its call ends by its time.
    line_bytes_max: usize,
}

impl Program {
    pub(crate) fn new(name: &str, server: &Mcp) -> Self {
        Self {
            server: name.to_owned(),
            command: server.command.clone(),
            env: server.env.clone(),
            secret_env: server.secret_env.clone(),
            directory: server.directory.clone(),
            line_bytes_max: message_bytes_max(server.answer_bytes_max()).max(PAGE_BYTES_MAX),
        }
    }

    pub(super) async fn start(&self, greeting: Greeting) -> Result<(Session, Running), Unmet> {
        let unstarted = |error| Unmet { why: format!("{:?} cannot be started: {error}", self.command), nobody: true };
        let mut running = self.spawn().map_err(unstarted)?;
        let (Some(input), Some(output)) = (running.server.stdin.take(), running.server.stdout.take()) else {
            return Err(unstarted(std::io::ErrorKind::BrokenPipe.into()));
        };
        if let Some(errors) = running.server.stderr.take() {
            tokio::spawn(words::log(self.server.clone(), errors));
        }
        let transport = AsyncRwTransport::new_client(output, input).with_max_line_length(self.line_bytes_max);
        match Session::open(transport, greeting, Bell::default()).await {
            Ok(session) => Ok((session, running)),
            Err(error) => {
                running.end().await;
                Err(super::answer::unmet(&error))
            }
        }
    }

    fn spawn(&self) -> std::io::Result<Running> {
        let mut guard = Command::new("/bin/sh");
        guard.args(["-c", GUARD]).env_clear().process_group(0);
        let mut guard = guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let group = guard.id().and_then(|id| i32::try_from(id).ok()).ok_or(std::io::ErrorKind::NotFound)?;
        let (strings, input) = (self.command.split_first(), guard.stdin.take());
        let (program, arguments) = strings.ok_or(std::io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command.args(arguments).env_clear();
        command.envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.envs(&self.env).envs(self.secret_env.iter().map(|(name, secret)| (name, secret.reveal())));
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Where this fails, the guard's input ends here, and so does the guard.
        let server = start_program(|| pipes.process_group(group).kill_on_drop(true).spawn())?;
        Ok(Running { name: self.server.clone(), server, guard, input })
    }
}

/// A started server. Where this is dropped, its group is killed.
#[derive(Debug)]
pub(crate) struct Running {
    name: String,
    server: Child,
    guard: Child,
    input: Option<ChildStdin>,
}

impl Running {
    /// Resolves when the server has ended.
    pub(crate) async fn ended(&mut self) {
        match self.server.wait().await {
            Ok(status) => warn!(server = self.name, %status, "MCP server ended"),
            Err(error) => warn!(server = self.name, %error, "MCP server cannot be watched"),
        }
    }

    /// Ends it: its input is closed already; then it is asked, then killed, each with all that it has started.
    pub(crate) async fn end(mut self) {
        if timeout(GRACE, self.server.wait()).await.is_err() {
            debug!(server = self.name, "MCP server goes on without input: it is asked to end");
            if let Some(input) = &mut self.input {
                let _ = input.write_all(b"TERM\n").await;
            }
            let _ = timeout(GRACE, self.server.wait()).await;
        }
        drop(self.input.take());
        let _ = self.server.wait().await;
        let _ = self.guard.wait().await;
    }
}
