//! Sessions in a working set.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::domain::schedule::Place;

/// A session whose row is locked.
#[derive(Debug, Clone)]
pub(in super::super) struct Session {
    pub(in super::super) next_order: i64,
    /// The place of the first member that has not ended, or `next_order`.
    pub(in super::super) head: i64,
    pub(in super::super) fence: u64,
    /// Members from the head on: as many as this batch could end and one more, and those that it added.
    pub(in super::super) members: BTreeMap<i64, Uuid>,
    /// Who runs, as the store has it.
    pub(in super::super) held_before: Option<Uuid>,
    /// Who runs.
    pub(in super::super) holder: Option<Uuid>,
    pub(in super::super) is_changed: bool,
}

impl Session {
    pub(in super::super) fn loaded(next_order: i64, head: i64, fence: u64) -> Self {
        let members = BTreeMap::new();
        Self { next_order, head, fence, members, held_before: None, holder: None, is_changed: false }
    }

    /// A member's place at the end; whether it is the head.
    pub(super) fn join(&mut self, session: i64, id: Uuid) -> (Place, bool) {
        let order = self.next_order;
        self.next_order += 1;
        self.is_changed = true;
        self.members.insert(order, id);
        (Place { session, order }, order == self.head)
    }

    /// A member has ended; the one that is the head now, where that changed. That it is known is what loading saw to: it
    /// brought one member more than the batch can end.
    pub(super) fn leave(&mut self, order: i64) -> Option<Uuid> {
        self.members.remove(&order);
        if order != self.head {
            return None;
        }
        self.is_changed = true;
        let next = self.members.range(order..).next();
        self.head = next.map_or(self.next_order, |(order, _)| *order);
        next.map(|(_, id)| *id)
    }
}
