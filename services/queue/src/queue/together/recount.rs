//! Counts what the store holds. A process knows its own doings; what others did to the depths is learnt by counting.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::super::Shared;
use super::AGAIN;
use crate::domain::depth::Count;
use crate::domain::time::Now;

/// Between two counts while others live.
const EVERY: Duration = Duration::from_millis(250);
/// While this process is alone, counting only mends what was in doubt.
const EVERY_ALONE: Duration = Duration::from_secs(10);
/// A start does not wait for longer than this.
const FIRST_MAX: Duration = Duration::from_millis(500);
/// Counting takes no more than this share of the time.
const SHARE: u32 = 20;

pub(super) async fn run(shared: Arc<Shared>) {
    let mut counted = shared.together.counted.load(Ordering::Relaxed);
    loop {
        let began = Instant::now();
        let every = if shared.together.is_alone() { EVERY_ALONE } else { EVERY };
        // What was counted at the start need not be counted at once again.
        let wait = match std::mem::take(&mut counted) || shared.recount().await {
            true => every.max(began.elapsed() * SHARE),
            false => AGAIN,
        };
        tokio::select! {
            () = shared.together.joined.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

impl Shared {
    /// Counts before anything is accepted: then nothing is under way, and the counts are exact. Not for long; what takes
    /// longer is counted beside the work.
    pub(in crate::queue) async fn count_first(&self) {
        let counted = tokio::time::timeout(FIRST_MAX, self.recount()).await;
        self.together.counted.store(counted == Ok(true), Ordering::Relaxed);
    }

    async fn recount(&self) -> bool {
        self.core.lock().depths.mark();
        let counted = self.others().counts().await;
        let now = self.clock.now();
        let mut core = self.core.lock();
        match counted {
            Ok(counts) => {
                let counts: Vec<Count> = counts.into_iter().map(|count| counted_of(count, now)).collect();
                counts.iter().for_each(|count| core.seen.add(&count.agent));
                core.depths.reset(counts, now.moment);
                true
            }
            Err(error) => {
                tracing::debug!(%error, "what waits cannot be counted just now");
                false
            }
        }
    }
}

fn counted_of(count: crate::store::Count, now: Now) -> Count {
    Count {
        agent: count.agent.into(),
        tenant: count.tenant.into(),
        queued: count.queued,
        bytes: count.bytes,
        leased: count.leased,
        oldest: count.oldest.map(|at| now.moment_before(at)),
    }
}
