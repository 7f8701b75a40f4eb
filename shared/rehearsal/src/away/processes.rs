//! The processes of a mesh of our own, and their end.

use std::fs;
use std::time::Duration;

use holdfast_config::Peer;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;

use crate::error::Error;

/// A service that was started anew lives no longer than about this.
const LOOK: Duration = Duration::from_millis(20);

/// The children of `holdfast up`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Processes {
    /// Its process.
    pub(crate) up: u32,
}

impl Processes {
    /// Kills a service whenever there is one. Ends only with what is wrong.
    pub(super) async fn kill_again_and_again(&self, peer: Peer) -> Result<(), Error> {
        loop {
            if let Some(pid) = self.of(peer)? {
                // It may be gone already, which is as good.
                let _ = kill_process(pid, Signal::KILL);
            }
            sleep(LOOK).await;
        }
    }

    /// The process of a service; None while it has none.
    pub(crate) fn of(&self, peer: Peer) -> Result<Option<Pid>, Error> {
        let unknown =
            |error: std::io::Error| Error::Machine(format!("this machine does not list its processes: {error}"));
        for entry in fs::read_dir("/proc").map_err(unknown)? {
            let name = entry.map_err(unknown)?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
            if parent(pid) == Some(self.up) && serves(pid, peer) {
                return Ok(Pid::from_raw(pid));
            }
        }
        Ok(None)
    }
}

/// The parent of a process that runs: what has ended and is only remembered has no service any more.
fn parent(pid: i32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Its name stands in parentheses, and may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    if fields.next()? == "Z" {
        return None;
    }
    fields.next()?.parse().ok()
}

/// Whether a process was started as a service: its last argument names it.
fn serves(pid: i32, peer: Peer) -> bool {
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    arguments.split(|byte| *byte == 0).any(|argument| argument == peer.name().as_bytes())
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn pretend(peer: Peer) -> std::process::Child {
        // A shell that waits for its input, with a service's name among its arguments.
        let command = ["-c", "read line", "holdfast", peer.name()];
        Command::new("sh").args(command).stdin(Stdio::piped()).spawn().expect("a shell starts")
    }

    #[test]
    fn a_service_is_found_among_the_children_and_killed_alone() {
        let (mut queue, mut state) = (pretend(Peer::Queue), pretend(Peer::State));
        let processes = Processes { up: std::process::id() };
        let found = processes.of(Peer::Queue).expect("processes are listed").expect("it runs");
        assert_eq!(found.as_raw_nonzero().get() as u32, queue.id());
        assert_eq!(processes.of(Peer::Gateway).expect("processes are listed"), None);
        kill_process(found, Signal::KILL).expect("it runs");
        assert!(!queue.wait().expect("it ends").success());
        assert_eq!(processes.of(Peer::Queue).expect("processes are listed"), None);
        assert_eq!(state.try_wait().expect("it can be asked"), None, "the other one lives");
        state.kill().expect("it runs");
        state.wait().expect("it ends");
    }
}
