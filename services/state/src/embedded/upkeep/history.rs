//! Sweeps the history: superseded writes that are too old, or too many for their record.

use std::time::Duration;

use holdfast_rpc::{service::Stop, time::now_micros};
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::horizon;
use crate::{
    config::Keep,
    domain::{Micros, Seq},
    embedded::Embedded,
    store::{Retention, Swept},
};

/// Rows that one transaction looks at: a few milliseconds, in which no flush is stored.
const ROWS: usize = 1_000;
/// Time for flushes between two of them.
const PACE: Duration = Duration::from_millis(20);
/// Between two rounds, and no less than ten times a round's length: it takes a small part of the disk's time.
const REST: Duration = Duration::from_secs(60);

/// A sweep, round after round.
#[derive(Debug)]
pub struct Sweep<'s> {
    embedded: &'s Embedded,
    keep: &'s Keep,
}

impl<'s> Sweep<'s> {
    /// A sweep by these limits.
    pub fn new(embedded: &'s Embedded, keep: &'s Keep) -> Self {
        Self { embedded, keep }
    }

    pub(super) async fn run(&self, stop: &Stop) {
        loop {
            let started = Instant::now();
            if stop.run_until_cancelled(self.round(now_micros(), PACE)).await.is_none() {
                return;
            }
            let rest = REST.max(started.elapsed() * 10);
            if stop.run_until_cancelled(sleep(rest)).await.is_none() {
                return;
            }
        }
    }

    /// Goes through the whole history once; returns the rows removed.
    pub async fn round(&self, now: Micros, pace: Duration) -> usize {
        let (mut next, mut removed) = (0, 0);
        loop {
            let Some(swept) = self.step(next, now).await else { return removed };
            removed += swept.removed;
            if swept.next == 0 {
                return removed;
            }
            next = swept.next;
            sleep(pace).await;
        }
    }

    async fn step(&self, after: Seq, now: Micros) -> Option<Swept> {
        let keep = Retention { editions: self.keep.editions, horizon: horizon(now, &self.keep.history) };
        match self.embedded.decks().chore(move |journal| journal.sweep_history(after, ROWS, keep)).await? {
            Ok(swept) => Some(swept),
            Err(failure) => {
                warn!(error = %failure, "the history cannot be swept");
                None
            }
        }
    }
}
