//! Where the history of a record starts, for a write that came too late: what the shard knows of it without the store.

use std::sync::Arc;

use uuid::Uuid;

use super::Inner;
use crate::{
    domain::{Address, Edition, Note, RecordId, Seq, Trail, TrailEnd, Vector},
    store::Step,
    write::Command,
};

/// Where a walk back through one record's history starts.
#[derive(Debug, Clone, Default)]
pub struct TrailStart {
    /// Visible writes that are not stored yet, newest first.
    pub unstored: Vec<Note>,
    /// The newest stored edition; 0 where there is none.
    pub from: Seq,
    /// The record's number; 0 where there is none.
    pub record: RecordId,
    /// The visible edition …
    newest: Option<Arc<Edition>>,
    /// … and the version that it followed, where it is known.
    before: Option<Vector>,
}

impl TrailStart {
    /// The trail back to a version (`None`: to the record's first write), where nobody has to read for it.
    pub fn at_hand(&self, until: Option<&Vector>) -> Option<Trail> {
        let Some(newest) = &self.newest else {
            return Some(Trail { notes: Vec::new(), end: TrailEnd::Beginning });
        };
        let end = match until {
            Some(_) if self.before.as_ref() == until => TrailEnd::Presented,
            None if newest.previous == 0 => TrailEnd::Beginning,
            _ => return None,
        };
        Some(Trail { notes: vec![(&**newest).into()], end })
    }

    /// The visible edition, where it is this write's.
    pub fn newest_of(&self, write_id: Uuid) -> Option<Note> {
        let newest = self.newest.as_ref().filter(|newest| newest.writer.write_id == write_id)?;
        Some((&**newest).into())
    }
}

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
            unstored: unstored.iter().map(|edition| (&**edition).into()).collect(),
            record: visible.record,
            newest: Some(visible),
            before,
        }
    }
}
