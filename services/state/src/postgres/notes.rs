//! Writes of the history that this process has had in hand, so that conflicts on a record that many write to need not read who
//! wrote since: what is written once does not change, within its epoch.

use std::sync::Arc;

use quick_cache::sync::Cache;

use crate::{
    domain::{Edition, EpochId, Note, Seq, ShardId, Vector},
    recall::TrailStart,
};

/// Writes that are remembered: some 300 bytes each.
const NOTES_MAX: usize = 16_384;
/// How far a trail is followed here.
const STEPS_MAX: usize = 256;

/// The writes, by their places.
pub(super) struct Notes(Cache<(EpochId, ShardId, Seq), Arc<(Note, Seq)>>);

impl Default for Notes {
    fn default() -> Self {
        Self(Cache::new(NOTES_MAX))
    }
}

impl Notes {
    /// A stored write.
    pub(super) fn keep(&self, epoch: EpochId, shard: ShardId, edition: &Edition) {
        let place = (epoch, shard, edition.seq);
        if self.0.get(&place).is_none() {
            self.0.insert(place, Arc::new((edition.into(), edition.previous)));
        }
    }

    /// Puts what is remembered at hand, back to a version at most: the rest is to be read.
    pub(super) fn extend(&self, epoch: EpochId, shard: ShardId, trail: &mut TrailStart, until: Option<&Vector>) {
        for _ in 0..STEPS_MAX {
            let Some(known) = self.0.get(&(epoch, shard, trail.from)) else { return };
            let (note, previous) = &*known;
            trail.at_hand.push(note.clone());
            trail.from = *previous;
            if Some(&note.vector) == until {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::{Epochs, Writer};

    fn edition(seq: Seq) -> Edition {
        let epochs = Epochs::new(EpochId(1));
        Edition {
            record: 1,
            seq,
            previous: seq - 1,
            revision: seq,
            vector: (0..seq).fold(Vector::default(), |vector, _| vector.next(&epochs)),
            value: None,
            writer: Writer { write_id: Uuid::from_u128(seq.into()), invocation_id: "".into(), time: 0 },
            blind: false,
            expires: None,
        }
    }

    #[test]
    fn a_trail_is_followed_as_far_as_it_is_known_and_wanted() {
        let (notes, epoch) = (Notes::default(), EpochId(1));
        let shard = ShardId::from_index(3).unwrap();
        (4..9).for_each(|seq| notes.keep(epoch, shard, &edition(seq)));
        let follow = |epoch, until: Option<Seq>| {
            let mut trail = TrailStart { from: 8, ..TrailStart::default() };
            notes.extend(epoch, shard, &mut trail, until.map(|seq| edition(seq).vector).as_ref());
            (trail.at_hand.iter().map(|note| note.revision).collect::<Vec<_>>(), trail.from)
        };
        assert_eq!(follow(epoch, None), (vec![8, 7, 6, 5, 4], 3), "the rest is to be read");
        assert_eq!(follow(epoch, Some(6)), (vec![8, 7, 6], 5));
        assert_eq!(follow(EpochId(2), None), (vec![], 8), "places of another epoch are other writes");
    }
}
