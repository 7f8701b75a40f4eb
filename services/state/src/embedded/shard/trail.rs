//! Where the history of a record starts, for a write that came too late: what the shard knows of it without the store.

use std::sync::Arc;

use super::Inner;
use crate::{domain::Address, recall::TrailStart, store::Step, write::Command};

impl Inner {
    pub(super) fn trails(&mut self, command: &Command) -> Vec<TrailStart> {
        command.writes.iter().map(|write| self.trail(&write.address)).collect()
    }

    fn trail(&mut self, address: &Address) -> TrailStart {
        let Some(slot) = self.cache.get(address) else { return TrailStart::default() };
        let (before, unflushed) = (slot.before.clone(), slot.unflushed > 0);
        let Some(visible) = slot.visible.clone() else { return TrailStart::default() };
        // A CACHED write never stands on a hidden one, so the unstored visible ones are the newest of the trail.
        let unstored: Vec<_> = self
            .log
            .cached_newest_first()
            .filter(|_| unflushed)
            .filter_map(|step| match step {
                Step::Write { changes, .. } => changes.iter().find(|change| change.address == *address),
                _ => None,
            })
            .map(|change| Arc::clone(&change.edition))
            .collect();
        TrailStart {
            from: unstored.last().map_or(visible.seq, |oldest| oldest.previous),
            at_hand: unstored.iter().map(|edition| (&**edition).into()).collect(),
            stored: false,
            record: visible.record,
            newest: Some(visible),
            before,
        }
    }
}
