//! What a call asks before it leaves: the circuit of its tool, and that of the host behind it.

use std::time::Duration;

use super::circuit::{Circuit, Held};
use super::pass::Pass;

/// The circuits before one tool. Calls that are held here have opened no socket.
#[derive(Debug)]
pub(crate) struct Guard {
    tool: Circuit,
    host: Option<Circuit>,
    /// How long a call may take from its leave to its outcome: a probe that is silent for longer is given to another.
    patience: Duration,
}

/// Leave for one call. Dropped without a word, it says nothing of either.
#[derive(Debug)]
#[must_use = "leave that is dropped at once counts as a cancelled call"]
pub(crate) struct Leave {
    tool: Pass,
    host: Option<Pass>,
}

impl Guard {
    pub(crate) const fn new(tool: Circuit, host: Option<Circuit>, patience: Duration) -> Self {
        Self { tool, host, patience }
    }

    /// Whether a call would be held now: for callers that would have to wait for something else first.
    pub(crate) fn refusal(&self) -> Option<Held> {
        self.tool.refusal().or_else(|| self.host.as_ref()?.refusal())
    }

    /// Leave of both. Where the host holds a call, what the tool gave is free again.
    pub(crate) async fn acquire(&self) -> Result<Leave, Held> {
        if let Some(held) = self.refusal() {
            return Err(held);
        }
        let tool = self.tool.acquire(self.patience).await?;
        let host = match &self.host {
            Some(host) => Some(host.acquire(self.patience).await?),
            None => None,
        };
        Ok(Leave { tool, host })
    }
}

impl Leave {
    /// The call is made now: what it waited for since it got leave makes neither tool nor host slow.
    pub(crate) fn begins_now(&mut self) {
        self.tool.begins_now();
        if let Some(host) = &mut self.host {
            host.begins_now();
        }
    }

    /// The tool did its work, and so did its host.
    pub(crate) fn success(self) {
        self.tool.success();
        if let Some(host) = self.host {
            host.success();
        }
    }

    /// The tool failed. Its host is judged only by what was its own: it failed, or it has answered.
    pub(crate) fn failure(self, host_failed: bool) {
        self.tool.failure();
        match self.host {
            Some(host) if host_failed => host.failure(),
            Some(host) => host.success(),
            None => {}
        }
    }

    /// Nothing came in time: the tool failed, and of its host nobody knows.
    pub(crate) fn silence(self) {
        self.tool.failure();
    }
}

#[cfg(test)]
mod tests {
    use holdfast_resilience::breaker::{Settings, State};
    use holdfast_rpc::Channel;
    use reqwest::Url;

    use super::*;
    use crate::circuits::{Circuits, Keeper};

    const PATIENCE: Duration = Duration::from_secs(1);

    fn circuits() -> Circuits {
        // Nobody is asked: nothing is started.
        let nobody = Channel::connect("state", "http://127.0.0.1:1", None, None).expect("a URL");
        Circuits::new(settings(), Keeper::new(nobody, PATIENCE), None)
    }

    fn settings() -> Settings {
        let open = Duration::from_millis(1);
        Settings { minimum_calls: 1, open, open_max: open, jitter_percent: 0, probes: 1, ..Settings::default() }
    }

    fn guard(circuits: &Circuits, tool: &str) -> Guard {
        let host = circuits.host(&Url::parse("http://h:1/").expect("a URL"));
        Guard::new(circuits.guard(tool, settings()), host, PATIENCE)
    }

    fn state(circuit: &Circuit) -> State {
        circuit.report().snapshot.state
    }

    #[tokio::test]
    async fn a_probe_that_the_host_holds_back_is_free_again() {
        let circuits = circuits();
        let (one, other) = (guard(&circuits, "one"), guard(&circuits, "other"));
        one.acquire().await.expect("both are closed").failure(true);
        while one.refusal().is_some() {
            tokio::task::yield_now().await;
        }
        let host = one.host.as_ref().expect("it has one");
        // Another tool's call is the host's only probe.
        let probing = other.acquire().await.expect("the host probes");
        assert!(one.acquire().await.is_err());
        assert_eq!(state(host), State::HalfOpen);
        probing.success();
        assert_eq!(state(host), State::Closed);
        one.acquire().await.expect("the tool's own probe was given back").success();
        assert_eq!(state(&one.tool), State::Closed);
    }

    #[tokio::test]
    async fn of_a_silent_tool_its_host_knows_nothing() {
        let circuits = circuits();
        let guard = guard(&circuits, "one");
        guard.acquire().await.expect("both are closed").silence();
        let host = guard.host.as_ref().expect("it has one");
        assert_eq!((state(&guard.tool), host.report().snapshot.calls), (State::Open, 0));
    }

    #[tokio::test]
    async fn one_host_has_one_circuit_whatever_is_on_it_and_it_goes_with_the_last() {
        let circuits = circuits();
        let (one, other) = (guard(&circuits, "one"), guard(&circuits, "other"));
        let names =
            |circuits: &Circuits| circuits.list().iter().map(|report| report.name.to_string()).collect::<Vec<_>>();
        assert_eq!(names(&circuits), ["host:h:1", "one", "other"]);
        drop(one);
        assert_eq!(names(&circuits), ["host:h:1", "other"]);
        drop(other);
        assert!(names(&circuits).is_empty());
    }
}
