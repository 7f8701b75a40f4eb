//! A background duty: removes what has had its time, in small pieces that hold nobody up.
//!
//! Ages are measured by a clock that is not believed when it jumps. A piece is looked for beside the writer, and removed in
//! one short transaction; after each the duty pauses for several times as long as that took.

use std::time::Duration;

use holdfast_rpc::Error;
use holdfast_rpc::service::Stop;
use tokio::time::Instant;

use crate::config::Config;
use crate::domain::time::{Micros, Now};
use crate::domain::trust::TrustedClock;
use crate::metrics;
use crate::queue::Queue;
use crate::store::{Discard, Litter, Sweep};

/// Invocations looked at in one read.
const LOOK: usize = 512;
/// Invocations removed in one transaction.
const REMOVE: usize = 32;
/// How long the duty rests after a look or a removal, in multiples of how long that took: commits of others come first.
const REST: u32 = 4;
/// The shortest rest.
const REST_MIN: Duration = Duration::from_millis(5);
/// Between two rounds, unless something lives for a shorter time than that.
const ROUND_MAX: Duration = Duration::from_secs(10);
const ROUND_MIN: Duration = Duration::from_millis(20);
/// After a round that failed.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// How long a fence is kept, here as in state: older tokens are refused.
const FENCES: Duration = Duration::from_secs(7 * 24 * 3_600);
/// What ended more recently stays, however much there is.
const RECENT: Duration = Duration::from_secs(600);
/// A wall clock this far ahead of what is believed is worth a word.
const SUSPICIOUS: Duration = Duration::from_secs(24 * 3_600);

/// Runs until the queue stops.
pub async fn run(queue: Queue, stop: Stop) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = keep(&queue) => {}
    }
}

async fn keep(queue: &Queue) {
    let mut clock = loop {
        match queue.newest().await {
            Ok(newest) => break TrustedClock::start(newest, queue.now()),
            Err(error) => tracing::warn!(%error, "the newest invocation cannot be read; it will be"),
        }
        tokio::time::sleep(TRY_AGAIN).await;
    };
    let mut round = Round { queue, keys: None };
    let mut warned = false;
    loop {
        let now = queue.now();
        let at = clock.read(now);
        warned = warn(&clock, now, warned);
        let pause = match round.go(at).await {
            Ok(()) => round_every(queue.config()),
            Err(error) => {
                tracing::warn!(%error, "what is old could not be removed; it will be");
                TRY_AGAIN
            }
        };
        tokio::time::sleep(pause).await;
    }
}

fn warn(clock: &TrustedClock, now: Now, warned: bool) -> bool {
    let behind = clock.behind(now);
    if behind > SUSPICIOUS && !warned {
        let ahead = humantime(behind);
        tracing::warn!(ahead, "the clock is far ahead of what this store has seen; ages follow it slowly");
    }
    behind > SUSPICIOUS
}

/// Whole hours are enough for a word of warning.
fn humantime(span: Duration) -> String {
    format!("{}h", span.as_secs() / 3_600)
}

fn round_every(config: &Config) -> Duration {
    let shortest = config.retention.0.min(config.report_ttl.0).min(config.idempotency_ttl.0);
    (shortest / 4).clamp(ROUND_MIN, ROUND_MAX)
}

/// All sweeps, one after another.
struct Round<'q> {
    queue: &'q Queue,
    /// Keys that were cleaned up are not looked at again: what was skipped goes with its invocation.
    keys: Option<i64>,
}

impl Round<'_> {
    async fn go(&mut self, now: Micros) -> Result<(), Error> {
        let config = self.queue.config();
        let (retention, reports, keys) = (*config.retention, *config.report_ttl, *config.idempotency_ttl);
        let keep = config.retention_max;
        self.queue.free_keys_before(before(now, keys));
        self.keys = self.sweep(Litter::Keys, before(now, keys), self.keys).await?.or(self.keys);
        self.sweep(Litter::Reports, before(now, reports), None).await?;
        self.sweep(Litter::Invocations, before(now, retention), None).await?;
        self.sweep(Litter::Excess { keep }, before(now, RECENT), None).await?;
        self.sweep(Litter::Sessions, before(now, FENCES), None).await?;
        Ok(())
    }

    /// Removes all that there is of one kind; up to where a later sweep has nothing to look for.
    async fn sweep(&self, litter: Litter, before: Micros, mut from: Option<i64>) -> Result<Option<i64>, Error> {
        let (mut last, mut unbroken) = (None, true);
        loop {
            let started = Instant::now();
            let now = self.queue.now().wall;
            let swept = self.queue.sweep(Sweep { litter, now, before, from, limit: LOOK }).await?;
            metrics::discarded(litter, swept.removed);
            // Looking alone may take long where much is kept.
            rest(started, if swept.removed > 0 { REST_MIN } else { Duration::ZERO }).await;
            for rows in swept.rows.chunks(REMOVE) {
                let started = Instant::now();
                let gone = self.queue.discard(Discard { litter, before, rows: rows.to_vec() }).await?;
                metrics::discarded(litter, gone as u64);
                rest(started, REST_MIN).await;
            }
            if unbroken {
                last = swept.seen.or(last);
            }
            unbroken &= swept.seen == swept.next;
            from = match swept.next {
                Some(next) => Some(next),
                None => return Ok(last),
            };
        }
    }
}

/// Leaves the store to whoever works on it, for so much longer than this took.
async fn rest(started: Instant, shortest: Duration) {
    tokio::time::sleep((started.elapsed() * REST).max(shortest)).await;
}

fn before(now: Micros, span: Duration) -> Micros {
    now.saturating_sub(Micros::try_from(span.as_micros()).unwrap_or(Micros::MAX))
}
