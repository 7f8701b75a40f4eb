//! One agent type's work: tenants take turns, and within a tenant priority decides, then age.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use uuid::Uuid;

use super::super::time::Moment;
use super::{Depth, Entry};

/// Sorts the next one first.
type Turn = (Reverse<i32>, i64, Uuid);

#[derive(Debug, Default)]
pub(super) struct AgentQueue {
    tenants: HashMap<Arc<str>, TenantQueue>,
    /// The tenants with ready work, the one whose turn it is first.
    turns: VecDeque<Arc<str>>,
}

/// One tenant's work of one agent type. None is kept empty.
#[derive(Debug, Default)]
struct TenantQueue {
    ready: BTreeSet<Turn>,
    /// All that wait, ready or not, by acceptance.
    waiting: BTreeMap<i64, Moment>,
    leased: u64,
}

impl AgentQueue {
    pub(super) fn waits(&mut self, entry: &Entry) {
        self.tenant(entry).waiting.insert(entry.seq, entry.accepted_at);
    }

    pub(super) fn waits_no_more(&mut self, entry: &Entry) {
        self.tenant(entry).waiting.remove(&entry.seq);
        self.tidy(entry);
    }

    pub(super) fn runs(&mut self, entry: &Entry) {
        self.tenant(entry).leased += 1;
    }

    pub(super) fn runs_no_more(&mut self, entry: &Entry) {
        self.tenant(entry).leased -= 1;
        self.tidy(entry);
    }

    pub(super) fn ready(&mut self, entry: &Entry) {
        let ready = &mut self.tenant(entry).ready;
        let first = ready.is_empty();
        ready.insert(turn(entry));
        if first {
            self.turns.push_back(Arc::clone(&entry.tenant));
        }
    }

    pub(super) fn unready(&mut self, entry: &Entry) {
        let ready = &mut self.tenant(entry).ready;
        ready.remove(&turn(entry));
        if ready.is_empty() {
            self.turns.retain(|tenant| *tenant != entry.tenant);
        }
    }

    pub(super) fn take(&mut self, tenant: Option<&str>) -> Option<Uuid> {
        let position = match tenant {
            Some(wanted) => self.turns.iter().position(|tenant| **tenant == *wanted)?,
            None => 0,
        };
        let tenant = self.turns.remove(position)?;
        let ready = &mut self.tenants.get_mut(&tenant)?.ready;
        let (_, _, id) = ready.pop_first()?;
        if !ready.is_empty() {
            self.turns.push_back(tenant);
        }
        Some(id)
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.turns.is_empty()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.tenants.is_empty()
    }

    /// How much there is, of one tenant or of all.
    pub(super) fn depth(&self, agent: &Arc<str>, tenant: Option<&str>) -> Option<Depth> {
        let mut depth = Depth { agent: Arc::clone(agent), queued: 0, leased: 0, oldest: None };
        for (name, queue) in &self.tenants {
            if tenant.is_none_or(|tenant| *tenant == **name) {
                depth.queued += queue.waiting.len() as u64;
                depth.leased += queue.leased;
                let oldest = queue.waiting.first_key_value().map(|(_, at)| *at);
                depth.oldest = depth.oldest.into_iter().chain(oldest).min();
            }
        }
        Some(depth).filter(|depth| depth.queued + depth.leased > 0)
    }

    fn tenant(&mut self, entry: &Entry) -> &mut TenantQueue {
        self.tenants.entry(Arc::clone(&entry.tenant)).or_default()
    }

    fn tidy(&mut self, entry: &Entry) {
        let idle = |queue: &TenantQueue| queue.ready.is_empty() && queue.waiting.is_empty() && queue.leased == 0;
        if self.tenants.get(&entry.tenant).is_some_and(idle) {
            self.tenants.remove(&entry.tenant);
        }
    }
}

fn turn(entry: &Entry) -> Turn {
    (Reverse(entry.priority), entry.seq, entry.id)
}
