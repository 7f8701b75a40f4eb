//! Reads.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use holdfast_rpc::Error;
use uuid::Uuid;

use super::{Queue, refusal};
use crate::domain::depth::AgentCount;
use crate::domain::record::Record;
use crate::store::Filter;

/// Invocations that are read at once.
const AT_ONCE: usize = 100;
/// What an invocation takes in a page beside what may be large in it, roughly.
const RECORD_BYTES: usize = 512;
/// What a page takes at most, but for the first in it: a client takes 4 MiB, unless it says otherwise.
const PAGE_BYTES: usize = 3 << 20;

/// A page of a list.
#[derive(Debug)]
pub struct Page {
    /// Newest first, without payloads and results.
    pub records: Vec<Record>,
    /// Where the next page starts.
    pub next: Option<Uuid>,
}

/// How much there is of one agent type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentDepth {
    /// The agent type.
    pub agent: Arc<str>,
    /// Waiting.
    pub queued: u64,
    /// Running.
    pub leased: u64,
    /// The age of the oldest waiting one.
    pub oldest: Duration,
}

impl Queue {
    /// One invocation.
    ///
    /// # Errors
    /// NOT_FOUND, also for another tenant's.
    pub async fn get(&self, tenant: Option<&str>, id: Uuid) -> Result<Record, Error> {
        let found = self.shared.store.get(id, tenant.map(str::to_owned), true).await;
        found.map_err(|failure| refusal::store(&failure))?.ok_or_else(|| refusal::unknown(id))
    }

    /// A page by filter. It ends early where what is in it is large.
    ///
    /// # Errors
    /// UNAVAILABLE.
    pub async fn list(&self, mut filter: Filter) -> Result<Page, Error> {
        let (wanted, mut records, mut bytes) = (filter.limit, Vec::new(), 0);
        loop {
            let at_once = (wanted - records.len()).min(AT_ONCE);
            // One more shows whether there is a next page.
            filter.limit = at_once + 1;
            let found = self.shared.store.list(filter.clone()).await.map_err(|failure| refusal::store(&failure))?;
            let mut more = found.len() > at_once;
            for record in found.into_iter().take(at_once) {
                bytes += RECORD_BYTES + record.bytes();
                if bytes > PAGE_BYTES && !records.is_empty() {
                    more = true;
                    break;
                }
                records.push(record);
            }
            filter.beyond = records.last().map(|record: &Record| record.accepted.id);
            if !more || records.len() >= wanted || bytes > PAGE_BYTES {
                return Ok(Page { records, next: filter.beyond.filter(|_| more) });
            }
        }
    }

    /// How much there is of each agent type, of one tenant or in all.
    #[must_use]
    pub fn depths(&self, tenant: Option<&str>) -> Vec<AgentDepth> {
        let now = self.shared.clock.now().moment;
        let core = self.shared.core.lock();
        let depth = |count: AgentCount| {
            // Here only what is in memory is known to the moment.
            let oldest = core.schedule.oldest(&count.agent, tenant).into_iter().chain(count.oldest).min();
            let oldest = oldest.map_or(Duration::ZERO, |at| now.since(at));
            AgentDepth { agent: count.agent, queued: count.queued, leased: count.leased, oldest }
        };
        core.depths.by_agent(tenant).into_iter().map(depth).collect()
    }

    /// How many invocations end here in a second, by the names that agent types are shown under.
    pub(crate) fn drain_rates(&self) -> HashMap<Arc<str>, f64> {
        let now = self.shared.clock.now().moment;
        self.shared.core.lock().seen.drain_rates(now)
    }

    /// Bytes of the payloads that wait.
    pub(crate) fn waiting_bytes(&self) -> u64 {
        self.shared.core.lock().depths.waiting().1
    }
}
