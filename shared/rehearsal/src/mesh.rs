//! A mesh of a rehearsal's own: `holdfast up` as a child process, on temporary data and free ports.

mod ports;

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use holdfast_config::{self as config, Peer};
use holdfast_rpc::service::PARENT_PIPE;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::away::Processes;
use crate::error::Error;
use crate::scenario::Key;
use crate::stage::Place;

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
        let home = TempDir::with_prefix("holdfast-rehearsal-").map_err(machine)?;
        let file = home.path().join("holdfast.toml");
        std::fs::write(&file, configuration).map_err(machine)?;
        let log = std::fs::File::create(home.path().join("up.log")).map_err(machine)?;
        let port = ports::free_range(Peer::ALL.len() as u16)
            .ok_or_else(|| Error::Machine("this machine has no free neighbouring ports".into()))?;
        let mut command = Command::new(executable);
        // What overrides settings outside must not change the story in here.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("HOLDFAST_") {
                command.env_remove(name);
            }
        }
        let child = command
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
        let mut mesh = Self { child, port, home };
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
        self.child.id().map(|up| Processes { up })
    }

    /// Ends it.
    pub(crate) async fn stop(mut self) {
        // With its pipe it loses its parent, and drains.
        drop(self.child.stdin.take());
        if timeout(END_WITHIN, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }

    async fn serves(&mut self) -> Result<(), Error> {
        let client = reqwest::Client::new();
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
        let text = std::fs::read_to_string(self.home.path().join("up.log")).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }
}
