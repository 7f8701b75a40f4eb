//! One agent type's work: tenants take turns, and within a tenant priority decides, then age.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use uuid::Uuid;

use super::super::time::Moment;
use super::Entry;

/// Sorts the next one first.
type Turn = (Reverse<i32>, i64, Uuid);

#[derive(Debug, Default)]
pub(super) struct AgentQueue {
    ready: HashMap<Arc<str>, BTreeSet<Turn>>,
    /// The tenants with ready work, the one whose turn it is first.
    turns: VecDeque<Arc<str>>,
    /// All that wait, ready or not, by acceptance.
    pub(super) waiting: BTreeMap<i64, Moment>,
    pub(super) leased: u64,
}

impl AgentQueue {
    pub(super) fn ready(&mut self, entry: &Entry) {
        let turns = self.ready.entry(Arc::clone(&entry.tenant)).or_default();
        if turns.is_empty() {
            self.turns.push_back(Arc::clone(&entry.tenant));
        }
        turns.insert(turn(entry));
    }

    pub(super) fn unready(&mut self, entry: &Entry) {
        let Some(turns) = self.ready.get_mut(&entry.tenant) else { return };
        turns.remove(&turn(entry));
        if turns.is_empty() {
            self.ready.remove(&entry.tenant);
            self.turns.retain(|tenant| *tenant != entry.tenant);
        }
    }

    pub(super) fn take(&mut self, tenant: Option<&str>) -> Option<Uuid> {
        let position = match tenant {
            Some(wanted) => self.turns.iter().position(|tenant| **tenant == *wanted)?,
            None => 0,
        };
        let tenant = self.turns.remove(position)?;
        let turns = self.ready.get_mut(&tenant)?;
        let (_, _, id) = turns.pop_first()?;
        if turns.is_empty() {
            self.ready.remove(&tenant);
        } else {
            self.turns.push_back(tenant);
        }
        Some(id)
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.turns.is_empty()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.leased == 0
    }
}

fn turn(entry: &Entry) -> Turn {
    (Reverse(entry.priority), entry.seq, entry.id)
}
