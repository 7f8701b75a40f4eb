//! The processes: started as this executable with a service's name, each at the end of a pipe. A child drains when its pipe
//! closes, which also happens when we die, however that may be.

use std::collections::HashMap;
use std::convert::Infallible;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use holdfast_config::Peer;
use holdfast_rpc::service::PARENT_PIPE;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{mpsc, oneshot};

use super::events::{Event, Exit};
use super::health;
use super::plan::Plan;
use crate::exit::Failure;
use crate::source::Source;

/// The exit code of a service whose configuration does not hold.
const CONFIGURATION: i32 = 2;

/// All processes of one `up`.
pub(crate) struct Crew {
    executable: PathBuf,
    plan: Plan,
    events: mpsc::Sender<Event>,
    members: HashMap<Peer, Member>,
}

/// A running process, as far as we hold it.
struct Member {
    /// Closing it asks for a drain.
    pipe: Option<ChildStdin>,
    /// Sent on, the process is killed.
    kill: Option<oneshot::Sender<()>>,
}

impl Crew {
    pub(crate) fn new(plan: Plan, events: mpsc::Sender<Event>) -> Result<Self, Failure> {
        let executable = std::env::current_exe();
        let executable =
            executable.map_err(|error| Failure::Machine(format!("cannot find this executable: {error}")))?;
        Ok(Self { executable, plan, events, members: HashMap::new() })
    }

    pub(crate) fn peers(&self) -> Vec<Peer> {
        self.plan.peers()
    }

    /// Starts a service's process and listens for its health and its end.
    pub(crate) fn start(&mut self, peer: Peer) {
        let mut child = match self.command(peer).spawn() {
            Ok(child) => child,
            Err(error) => {
                let exit = Exit { how: format!("cannot be started: {error}"), hopeless: false };
                let events = self.events.clone();
                tokio::spawn(async move { events.send(Event::Exited(peer, exit)).await });
                return;
            }
        };
        let (kill, killed) = oneshot::channel();
        self.members.insert(peer, Member { pipe: child.stdin.take(), kill: Some(kill) });
        tokio::spawn(attend(peer, child, killed, self.plan.common.clone(), self.events.clone()));
    }

    /// Asks a service to drain.
    pub(crate) fn drain(&mut self, peer: Peer) {
        if let Some(member) = self.members.get_mut(&peer) {
            member.pipe = None;
        }
    }

    /// Ends a service's process at once.
    pub(crate) fn kill(&mut self, peer: Peer) {
        if let Some(kill) = self.members.get_mut(&peer).and_then(|member| member.kill.take()) {
            // It may have ended by itself meanwhile.
            let _ = kill.send(());
        }
    }

    fn command(&self, peer: Peer) -> Command {
        let mut command = Command::new(&self.executable);
        if let Source::File(path) = &self.plan.source {
            command.arg("--config").arg(path);
        }
        command
            .arg(peer.name())
            .envs(&self.plan.overrides)
            .env(PARENT_PIPE, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            // Ctrl-C reaches us alone: we end the services, in their order.
            .process_group(0)
            .kill_on_drop(true);
        command
    }
}

/// Tells when a process serves, and when it is gone.
async fn attend(
    peer: Peer,
    mut child: Child,
    killed: oneshot::Receiver<()>,
    common: holdfast_config::Common,
    events: mpsc::Sender<Event>,
) {
    let healthy = async {
        health::serving(&common, peer).await;
        // The receiver lives as long as anybody cares.
        let _ = events.send(Event::Ready(peer)).await;
        std::future::pending::<Infallible>().await
    };
    let exit = tokio::select! {
        status = child.wait() => status,
        never = healthy => match never {},
        Ok(()) = killed => {
            let _ = child.start_kill();
            child.wait().await
        }
    };
    let exit = match exit {
        Ok(status) => describe(status),
        Err(error) => Exit { how: format!("lost sight of it: {error}"), hopeless: false },
    };
    let _ = events.send(Event::Exited(peer, exit)).await;
}

fn describe(status: ExitStatus) -> Exit {
    let how = match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "it ended".into(),
    };
    Exit { how, hopeless: status.code() == Some(CONFIGURATION) }
}
