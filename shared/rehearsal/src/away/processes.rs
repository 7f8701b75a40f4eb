//! The processes of a mesh of our own, and their end: by our hand, or by themselves.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use holdfast_config::Peer;
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

use crate::error::Error;

/// A service that was started anew lives no longer than about this.
const LOOK: Duration = Duration::from_millis(20);
/// How often it is looked whether all are still there.
const COUNT: Duration = Duration::from_secs(1);
/// How long one may take to come back: much more than it does, even where it died often and `up` is patient.
const BACK_WITHIN: Duration = Duration::from_secs(60);

/// The children of `holdfast up`.
#[derive(Debug, Clone)]
pub(crate) struct Processes {
    /// Its process.
    up: u32,
    /// Those that were ended here.
    ended: Arc<Mutex<HashSet<Pid>>>,
}

impl Processes {
    /// Those that this process has.
    pub(crate) fn of_children(up: u32) -> Self {
        Self { up, ended: Arc::default() }
    }

    /// Kills a service whenever there is one. Ends only with what is wrong.
    pub(super) async fn kill_again_and_again(&self, peer: Peer) -> Result<(), Error> {
        loop {
            if let Some(pid) = self.of(peer)? {
                self.end(pid, Signal::KILL);
            }
            sleep(LOOK).await;
        }
    }

    /// Ends a service by this signal, sent once, and waits until another life of it has begun.
    pub(crate) async fn restart(&self, peer: Peer, by: Signal) -> Result<(), Error> {
        let end = Instant::now() + BACK_WITHIN;
        let mut before = None;
        while Instant::now() < end {
            match (self.of(peer)?, before) {
                (Some(pid), None) => {
                    self.end(pid, by);
                    before = Some(pid);
                }
                (Some(pid), Some(before)) if pid != before => return Ok(()),
                _ => {}
            }
            sleep(LOOK).await;
        }
        Err(Error::Mesh(format!("the {} was ended and did not come back", peer.name())))
    }

    /// Looks now and then; returns the first service whose process is gone though nobody here has ended it. That `up` starts it
    /// again is what it is there for; that it ended must be told.
    pub(crate) async fn end_by_themselves(&self) -> Result<Peer, Error> {
        let mut before = BTreeMap::new();
        loop {
            let now = self.all()?;
            if let Some(peer) = self.gone(&before, &now) {
                return Ok(peer);
            }
            before = now;
            sleep(COUNT).await;
        }
    }

    /// What is not there any more, and was not ended here.
    fn gone(&self, before: &BTreeMap<i32, Peer>, now: &BTreeMap<i32, Peer>) -> Option<Peer> {
        let gone = before.iter().find(|(pid, _)| !now.contains_key(*pid) && !self.has_ended(**pid));
        gone.map(|(_, peer)| *peer)
    }

    fn end(&self, pid: Pid, by: Signal) {
        // Noted before: whoever looks in between must not think that it ended by itself.
        self.ended.lock().insert(pid);
        // It may be gone already, which is as good.
        let _ = kill_process(pid, by);
    }

    fn has_ended(&self, pid: i32) -> bool {
        Pid::from_raw(pid).is_some_and(|pid| self.ended.lock().contains(&pid))
    }

    /// The process of a service; None while it has none.
    pub(crate) fn of(&self, peer: Peer) -> Result<Option<Pid>, Error> {
        let all = self.all()?;
        Ok(all.into_iter().find(|(_, served)| *served == peer).and_then(|(pid, _)| Pid::from_raw(pid)))
    }

    /// All that run, and what each serves.
    fn all(&self) -> Result<BTreeMap<i32, Peer>, Error> {
        let unknown =
            |error: std::io::Error| Error::Machine(format!("this machine does not list its processes: {error}"));
        let mut all = BTreeMap::new();
        for entry in fs::read_dir("/proc").map_err(unknown)? {
            let name = entry.map_err(unknown)?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
            if parent(pid) == Some(self.up) {
                all.extend(serves(pid).map(|peer| (pid, peer)));
            }
        }
        Ok(all)
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

/// The service as which a process was started: its last argument names it.
fn serves(pid: i32) -> Option<Peer> {
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let last = arguments.split(|byte| *byte == 0).rfind(|argument| !argument.is_empty())?;
    Peer::ALL.into_iter().find(|peer| peer.name().as_bytes() == last)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn pretend(peer: Peer) -> std::process::Child {
        // A shell that waits for its input, with a service's name among its arguments.
        let command = ["-c", "read line", "holdfast", peer.name()];
        let child = Command::new("sh").args(command).stdin(Stdio::piped()).spawn().expect("a shell starts");
        // It is begun before the system knows its arguments.
        while serves(child.id().cast_signed()) != Some(peer) {
            std::thread::yield_now();
        }
        child
    }

    #[test]
    fn a_service_is_found_among_the_children_and_killed_alone() {
        let (mut queue, mut state) = (pretend(Peer::Queue), pretend(Peer::State));
        let processes = Processes::of_children(std::process::id());
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

    #[tokio::test]
    async fn a_service_that_is_asked_to_end_is_not_killed_and_its_next_life_is_waited_for() {
        use std::os::unix::process::ExitStatusExt as _;
        let mut first = pretend(Peer::Gateway);
        // Whoever waits for a child closes its input first, by which this one would end by itself.
        let _held = first.stdin.take();
        let processes = Processes::of_children(std::process::id());
        let restarting = processes.clone();
        let restarting = tokio::spawn(async move { restarting.restart(Peer::Gateway, Signal::TERM).await });
        let first = tokio::task::spawn_blocking(move || first.wait()).await.expect("it is waited for");
        assert_eq!(first.expect("it ends").signal(), Some(Signal::TERM.as_raw()));
        let mut second = pretend(Peer::Gateway);
        restarting.await.expect("it ends").expect("another life of it has begun");
        assert_eq!(second.try_wait().expect("it can be asked"), None, "it is asked once");
        second.kill().expect("it runs");
        second.wait().expect("it ends");
    }

    #[test]
    fn a_service_that_ends_by_itself_is_told_and_one_that_was_killed_here_is_not() {
        let (mut tools, mut models) = (pretend(Peer::ToolProxy), pretend(Peer::LlmProxy));
        let processes = Processes::of_children(std::process::id());
        let all = || processes.all().expect("processes are listed");
        let both = all();
        assert!(both.values().any(|peer| *peer == Peer::ToolProxy), "{both:?}");
        processes.end(Pid::from_raw(tools.id().cast_signed()).expect("it runs"), Signal::KILL);
        tools.wait().expect("it ends");
        assert_eq!(processes.gone(&both, &all()), None, "that was us");
        // Its input ends, and so does it.
        drop(models.stdin.take());
        models.wait().expect("it ends");
        assert_eq!(processes.gone(&both, &all()), Some(Peer::LlmProxy));
    }
}
