//! The order within sessions: only the first one that has not ended may run.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::Place;

#[derive(Debug, Default)]
pub(super) struct Sessions {
    /// By session, then by place. No session is kept empty.
    members: HashMap<i64, BTreeMap<i64, Uuid>>,
}

impl Sessions {
    pub(super) fn join(&mut self, place: Place, id: Uuid) {
        self.members.entry(place.session).or_default().insert(place.order, id);
    }

    pub(super) fn is_head(&self, place: Place) -> bool {
        self.members
            .get(&place.session)
            .and_then(BTreeMap::first_key_value)
            .is_some_and(|(order, _)| *order == place.order)
    }

    /// Takes a member out; the one that is first now, where that changed.
    pub(super) fn leave(&mut self, place: Place) -> Option<Uuid> {
        let was_head = self.is_head(place);
        let members = self.members.get_mut(&place.session)?;
        members.remove(&place.order);
        if members.is_empty() {
            self.members.remove(&place.session);
            return None;
        }
        members.first_key_value().filter(|_| was_head).map(|(_, id)| *id)
    }
}
