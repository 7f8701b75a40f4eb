//! A mesh of a rehearsal's own: `holdfast up` as a child process, on temporary data and free ports.

pub(crate) mod ports;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use holdfast_config::{self as config, Peer};
use holdfast_rpc::service::PARENT_PIPE;
use tempfile::TempDir;
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{Instant, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::away::Processes;
use crate::error::Error;
use crate::scenario::Key;
use crate::stage::Place;
use crate::web;

/// What a mesh may take to serve: much more than it does.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// What it may take to end, and what is left for it once nobody calls any more.
const END_WITHIN: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(50);
/// Lines that are shown of one that did not start.
const LINES: usize = 12;

/// A mesh. Dropping it ends it too: its pipe closes, and its processes drain.
#[derive(Debug)]
pub(crate) struct Mesh {
    child: Child,
    /// By which it lives. It is held apart from the child, for whoever waits for a child closes its input first.
    pipe: Option<ChildStdin>,
    processes: Option<Processes>,
    port: u16,
    home: TempDir,
}

impl Mesh {
    /// Starts one by its `holdfast.toml`, and waits until all of it serves, or until it is told to stop.
    pub(crate) async fn start(
        executable: &PathBuf,
        configuration: &str,
        keys: &[Key],
        stop: &CancellationToken,
    ) -> Result<Self, Error> {
        let machine = |error: std::io::Error| Error::Machine(format!("a mesh cannot be started: {error}"));
        // Passwords stand in its settings.
        let mut home = tempfile::Builder::new();
        let home = home.prefix("holdfast-rehearsal-").permissions(Permissions::from_mode(0o700));
        let home = home.tempdir().map_err(machine)?;
        let file = home.path().join("holdfast.toml");
        std::fs::write(&file, configuration).map_err(machine)?;
        let log = std::fs::File::create(home.path().join("up.log")).map_err(machine)?;
        let port = ports::free_range(Peer::ALL.len() as u16)
            .ok_or_else(|| Error::Machine("this machine has no free neighbouring ports".into()))?;
        let mut command = Command::new(executable);
        for (name, _) in std::env::vars_os() {
            if stays_outside(&name.to_string_lossy()) {
                command.env_remove(name);
            }
        }
        let mut child = command
            .arg("--config")
            .arg(&file)
            .arg("up")
            .arg("--data")
            .arg(home.path().join("data"))
            .arg("--port-base")
            .arg(port.to_string())
            .env("HOLDFAST_TELEMETRY__LOG", "error")
            .env("HOLDFAST_TELEMETRY__LOG_FORMAT", "text")
            .env(PARENT_PIPE, "1")
            .envs(keys.iter().map(|key| (&key.variable, &key.secret)))
            .current_dir(home.path())
            .stdin(Stdio::piped())
            .stdout(log.try_clone().map_err(machine)?)
            .stderr(log)
            // Ctrl-C reaches us alone: we end what we have started.
            .process_group(0)
            .spawn()
            .map_err(machine)?;
        let (pipe, processes) = (child.stdin.take(), child.id().map(Processes::of_children));
        let mut mesh = Self { child, pipe, processes, port, home };
        match stop.run_until_cancelled(mesh.serves()).await.unwrap_or(Err(Error::Interrupted)) {
            Ok(()) => Ok(mesh),
            Err(why) => {
                mesh.stop().await;
                Err(why)
            }
        }
    }

    /// Where it is.
    pub(crate) fn place(&self) -> Place {
        let url = |peer: Peer| format!("http://127.0.0.1:{}", self.port + peer.port_offset());
        let inside = config::Mesh {
            gateway: url(Peer::Gateway),
            queue: url(Peer::Queue).into(),
            state: url(Peer::State).into(),
            tool_proxy: url(Peer::ToolProxy),
            llm_proxy: url(Peer::LlmProxy),
            ..config::Mesh::default()
        };
        let inside = Some(Box::new(inside));
        Place { gateway: url(Peer::Gateway), simulator: url(Peer::Simulator), key: String::new(), inside }
    }

    /// Its processes, while it runs.
    pub(crate) fn processes(&self) -> Option<Processes> {
        self.processes.clone()
    }

    /// Returns once it has ended, or one of its services has, though nobody here has ended it: what is played on it says nothing
    /// any more.
    pub(crate) async fn ends_by_itself(&mut self) -> Error {
        let processes = self.processes.clone();
        let service = async {
            match processes {
                Some(processes) => processes.end_by_themselves().await,
                None => std::future::pending().await,
            }
        };
        let what = tokio::select! {
            ended = self.child.wait() => ended.map_or_else(|error| error.to_string(), |status| format!("it ended ({status})")),
            peer = service => match peer {
                Ok(peer) => format!("its {} ended by itself", peer.name()),
                Err(why) => return why,
            },
        };
        self.broken(&what)
    }

    /// The same, at once; None while it runs.
    pub(crate) fn has_ended(&mut self) -> Option<Error> {
        let status = self.child.try_wait().ok().flatten()?;
        Some(self.broken(&format!("it ended ({status})")))
    }

    fn broken(&self, what: &str) -> Error {
        let said = self.said();
        Error::Mesh(format!(
            "the rehearsal's mesh broke: {what}, so what was played on it says nothing. It said last:\n{said}"
        ))
    }

    /// Ends it.
    pub(crate) async fn stop(mut self) {
        // With its pipe it loses its parent, and drains.
        drop(self.pipe.take());
        if timeout(END_WITHIN, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }

    async fn serves(&mut self) -> Result<(), Error> {
        let client = web::client();
        let (end, mut looks) = (Instant::now() + READY_WITHIN, interval(LOOK));
        let mut waiting: Vec<Peer> = Peer::ALL.to_vec();
        loop {
            looks.tick().await;
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(Error::Mesh(format!("the mesh ended ({status}):\n{}", self.said())));
            }
            let mut still = Vec::new();
            for peer in waiting {
                let url = format!("http://127.0.0.1:{}/healthz", self.port + peer.port_offset());
                let answer = client.get(url).timeout(Duration::from_secs(1)).send().await;
                if !answer.is_ok_and(|answer| answer.status().is_success()) {
                    still.push(peer);
                }
            }
            if still.is_empty() {
                return Ok(());
            }
            waiting = still;
            if Instant::now() >= end {
                let names: Vec<_> = waiting.iter().map(|peer| peer.name()).collect();
                return Err(Error::Mesh(format!("{} did not come up:\n{}", names.join(", "), self.said())));
            }
        }
    }

    /// The last lines that it said.
    fn said(&self) -> String {
        last_lines(&self.home.path().join("up.log"))
    }
}

/// Whether a variable is none of a rehearsal's: what overrides settings outside must not change the story in here, and what is
/// measured in here must not be found among the figures of somebody's production.
fn stays_outside(variable: &str) -> bool {
    ["HOLDFAST_", "OTEL_"].iter().any(|beginning| variable.starts_with(beginning))
}

/// What a process said last.
pub(crate) fn last_lines(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
