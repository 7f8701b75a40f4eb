//! How a circuit stands, as it is told: to watchers, logs and metrics.

use std::sync::Arc;

use holdfast_resilience::breaker::{Reason, Snapshot, State};
use parking_lot::Mutex;
use tokio::sync::{Notify, broadcast};
use tracing::{info, warn};

use super::word::Word;
use crate::metrics;

/// What a circuit guards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One tool.
    Tool,
    /// The host behind tools.
    Host,
}

/// A circuit as it stands.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    pub(crate) name: Arc<str>,
    pub(crate) kind: Kind,
    pub(crate) snapshot: Snapshot,
    /// The last word of an operator.
    pub(crate) word: Option<Word>,
}

impl Report {
    /// Why it stands so; where an operator said so, who and why.
    pub(crate) fn reason(&self) -> String {
        let reason = self.snapshot.reason;
        match (&self.word, reason) {
            (Some(word), Reason::Forced(_)) if word.why.is_empty() => format!("{reason} by {}", word.by),
            (Some(word), Reason::Forced(_)) => format!("{reason} by {}: {}", word.by, word.why),
            _ => reason.to_string(),
        }
    }
}

/// Rung when a circuit has changed: each for one duty.
#[derive(Debug, Clone, Default)]
pub(super) struct Bells {
    pub(super) sharing: Arc<Notify>,
    pub(super) survival: Arc<Notify>,
}

impl Bells {
    pub(super) fn ring(&self) {
        self.sharing.notify_one();
        self.survival.notify_one();
    }
}

/// Where the changes of one circuit are told. It is called under the breaker's lock: quick, and never back.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) name: Arc<str>,
    pub(super) kind: Kind,
    pub(super) word: Mutex<Option<Word>>,
    news: broadcast::Sender<Report>,
    pub(super) bells: Bells,
}

impl Post {
    pub(super) fn new(name: &str, kind: Kind, news: broadcast::Sender<Report>, bells: Bells) -> Self {
        metrics::circuit_stands(name, State::Closed);
        Self { name: name.into(), kind, word: Mutex::default(), news, bells }
    }

    pub(super) fn report(&self, snapshot: Snapshot) -> Report {
        Report { name: Arc::clone(&self.name), kind: self.kind, snapshot, word: self.word.lock().clone() }
    }

    /// A change of the breaker.
    pub(super) fn tell(&self, snapshot: &Snapshot) {
        metrics::circuit_changed(&self.name, snapshot.state);
        let report = self.report(*snapshot);
        let (circuit, adopted, reason) = (&*self.name, snapshot.adopted, report.reason());
        match snapshot.state {
            State::Open => {
                warn!(circuit, reason, adopted, retry_after = ?snapshot.retry_after, "circuit opened");
            }
            state => info!(circuit, ?state, reason, adopted, "circuit changed"),
        }
        // Nobody may be watching.
        let _ = self.news.send(report);
        self.bells.ring();
    }
}
