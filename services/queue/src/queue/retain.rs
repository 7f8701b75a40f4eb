//! What the retention asks of the store.

use std::sync::atomic::Ordering;

use holdfast_rpc::Error;
use tokio::sync::oneshot;

use super::tag::Tag;
use super::{Queue, answered, refusal};
use crate::domain::record::Standing;
use crate::domain::time::{Micros, Now};
use crate::store::{Command, Discard, Filter, Sweep, Swept};

impl Queue {
    /// Both times.
    pub(crate) fn now(&self) -> Now {
        self.shared.clock.now()
    }

    /// The last thing that is known to have happened: what the newest invocation's record says.
    pub(crate) async fn newest(&self) -> Result<Option<Micros>, Error> {
        let page = self.list(Filter { limit: 1, ..Filter::default() }).await?;
        Ok(page.records.first().map(|record| match &record.standing {
            Standing::Ended(ended) => ended.at.max(record.accepted.at),
            Standing::Live(live) => live.started_at.unwrap_or(record.accepted.at),
        }))
    }

    /// From now on, keys of what has ended and was accepted before this are free again.
    pub(crate) fn free_keys_before(&self, at: Micros) {
        self.shared.keys_since.store(at, Ordering::Relaxed);
    }

    /// A piece of a sweep.
    pub(crate) async fn sweep(&self, sweep: Sweep) -> Result<Swept, Error> {
        self.shared.store.sweep(sweep).await.map_err(|failure| refusal::store(&failure))
    }

    /// Removes what a sweep found; how many.
    pub(crate) async fn discard(&self, discard: Discard) -> Result<usize, Error> {
        let (reply, answer) = oneshot::channel();
        self.shared.send(vec![(Tag::Discard(reply), Command::Discard(discard))]);
        answered(answer).await
    }
}
