//! What a record's history says about a write that came too late.

use uuid::Uuid;

use super::{Edition, Vector, Writer};

/// One write in the history, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Number of accepted writes to the address, this one included.
    pub revision: u64,
    /// The version that it made.
    pub vector: Vector,
    /// Who wrote.
    pub writer: Writer,
}

impl From<&Edition> for Note {
    fn from(edition: &Edition) -> Self {
        Self { revision: edition.revision, vector: edition.vector.clone(), writer: edition.writer.clone() }
    }
}

/// Where a walk back through a record's history ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrailEnd {
    /// At the write whose version was presented.
    Presented,
    /// At the record's first write.
    Beginning,
    /// Where the history was cut, or the walk's limit was reached.
    Cut,
}

/// A walk back through a record's history: newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trail {
    /// The writes after the presented one.
    pub notes: Vec<Note>,
    /// Why it goes no further.
    pub end: TrailEnd,
}

impl Trail {
    /// The write with this id.
    pub fn find(&self, write_id: Uuid) -> Option<&Note> {
        self.notes.iter().find(|note| note.writer.write_id == write_id)
    }

    /// Whether a write that is not on the trail may have been taken before it. `presented` is the version that the write
    /// carried, `None` where it was to make the record.
    pub fn hides_earlier(&self, presented: Option<&Vector>) -> bool {
        match self.end {
            TrailEnd::Presented => false,
            TrailEnd::Cut => true,
            // A first write that counts on from its shard's floor had predecessors that nobody remembers.
            TrailEnd::Beginning => {
                presented.is_some() || self.notes.last().is_some_and(|first| first.vector.total() > 1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{EpochId, Epochs};

    fn trail(writes: u64, end: TrailEnd) -> Trail {
        let epochs = Epochs::new(EpochId(1));
        let mut notes = Vec::new();
        let mut vector = Vector::default();
        for revision in 1..=writes {
            vector = vector.next(&epochs);
            let writer = Writer { write_id: Uuid::from_u128(revision.into()), invocation_id: "".into(), time: 0 };
            notes.insert(0, Note { revision, vector: vector.clone(), writer });
        }
        Trail { notes, end }
    }

    #[test]
    fn a_repeat_is_found_though_overwritten_since() {
        let found = trail(9, TrailEnd::Beginning).find(Uuid::from_u128(2)).map(|note| note.revision);
        assert_eq!(found, Some(2));
    }

    #[test]
    fn only_a_whole_trail_rules_an_earlier_write_out() {
        let presented = Vector::default();
        assert!(!trail(3, TrailEnd::Presented).hides_earlier(Some(&presented)));
        assert!(trail(3, TrailEnd::Cut).hides_earlier(Some(&presented)));
        assert!(trail(3, TrailEnd::Beginning).hides_earlier(Some(&presented)));
        assert!(!trail(3, TrailEnd::Beginning).hides_earlier(None));
        assert!(trail(3, TrailEnd::Cut).hides_earlier(None));
    }
}
