//! Whether one write is taken.

use super::{Comparison, Edition, Epochs, Precondition, Vector};

/// What becomes of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is taken.
    Take,
    /// The record has moved on.
    Behind,
    /// It follows from a write that is gone.
    Lost,
    /// There is nothing to delete.
    NotThere,
}

/// Judges a write by the record as it stands; a record that is absent has its shard's `floor` as its vector.
pub fn decide(
    precondition: &Precondition,
    deletes: bool,
    current: Option<&Edition>,
    floor: &Vector,
    epochs: &Epochs,
) -> Verdict {
    let live = current.is_some_and(Edition::is_live);
    let held = current.map_or(floor, |edition| &edition.vector);
    let verdict = match precondition {
        Precondition::Absent if live => Verdict::Behind,
        Precondition::Absent | Precondition::Overwrite => Verdict::Take,
        Precondition::Version(presented) => match Vector::compare(presented, held, epochs) {
            Comparison::Equal => Verdict::Take,
            Comparison::Behind => Verdict::Behind,
            Comparison::Lost => Verdict::Lost,
        },
    };
    if verdict == Verdict::Take && deletes && !live { Verdict::NotThere } else { verdict }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use uuid::Uuid;

    use super::*;
    use crate::domain::{EpochId, Value, Writer};

    fn edition(vector: &Vector, live: bool) -> Edition {
        Edition {
            record: 1,
            seq: 1,
            previous: 0,
            revision: 1,
            vector: vector.clone(),
            value: live.then(|| Value { data: Bytes::new(), content_type: "".into() }),
            writer: Writer { write_id: Uuid::nil(), invocation_id: "".into(), time: 0 },
            blind: false,
            expires: None,
        }
    }

    #[test]
    fn each_precondition_meets_each_record() {
        let epochs = Epochs::new(EpochId(1));
        let floor = Vector::default();
        let first = floor.next(&epochs);
        let second = first.next(&epochs);
        let third = second.next(&epochs);
        let (live, gone) = (edition(&second, true), edition(&second, false));
        let version = |vector: &Vector| Precondition::Version(vector.clone());
        let table = [
            (Precondition::Absent, Verdict::Behind, Verdict::Take, Verdict::Take),
            (Precondition::Overwrite, Verdict::Take, Verdict::Take, Verdict::Take),
            (version(&first), Verdict::Behind, Verdict::Behind, Verdict::Lost),
            (version(&second), Verdict::Take, Verdict::Take, Verdict::Lost),
            (version(&third), Verdict::Lost, Verdict::Lost, Verdict::Lost),
        ];
        for (precondition, on_live, on_deleted, on_absent) in table {
            let said = |current| decide(&precondition, false, current, &floor, &epochs);
            assert_eq!(said(Some(&live)), on_live, "{precondition:?} on a live record");
            assert_eq!(said(Some(&gone)), on_deleted, "{precondition:?} on a deleted record");
            assert_eq!(said(None), on_absent, "{precondition:?} on an absent record");
        }
    }

    #[test]
    fn nothing_is_deleted_twice() {
        let epochs = Epochs::new(EpochId(1));
        let floor = Vector::default();
        let gone = edition(&floor.next(&epochs), false);
        assert_eq!(decide(&Precondition::Overwrite, true, Some(&gone), &floor, &epochs), Verdict::NotThere);
        assert_eq!(decide(&Precondition::Overwrite, true, None, &floor, &epochs), Verdict::NotThere);
    }
}
