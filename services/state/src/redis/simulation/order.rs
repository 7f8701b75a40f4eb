//! The order of one record's writes, as it is known from above, and whether it explains every answer.
//!
//! The order of writes is known, so no order has to be searched for: each answer gets the first place in it that fits and is
//! not before that of any call which had been answered when it was asked. Where no place is left, no order explains it.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::history::{Asked, Call, History, Mark, Moment, Told, mark_of};
use crate::domain::{Address, EpochId, Seq, ShardId};

/// A write in its place.
struct Step {
    state: Option<Mark>,
}

/// One record's.
pub(super) struct Order {
    steps: Vec<Step>,
    /// The first place of each write.
    places: HashMap<Uuid, usize>,
}

impl Order {
    /// Everything stored, and what was visible and is lost, epoch by epoch; after a loss, the record is what it was before.
    pub(super) fn of(history: &History, address: &Address) -> Self {
        let mut order = Self { steps: vec![Step { state: None }], places: HashMap::new() };
        for epoch in &history.epochs {
            let (stored, lost) = history.writes_of(address, *epoch);
            for (id, state) in stored {
                order.push(Some(id), state);
            }
            let before = order.steps.last().and_then(|step| step.state);
            let any = !lost.is_empty();
            for (id, state) in lost {
                order.push(Some(id), state);
            }
            if any {
                order.push(None, before);
            }
        }
        order
    }

    fn push(&mut self, id: Option<Uuid>, state: Option<Mark>) {
        if let Some(id) = id {
            self.places.entry(id).or_insert(self.steps.len());
        }
        self.steps.push(Step { state });
    }

    /// Whether it explains all calls, in the order in which they were made.
    pub(super) fn explains(&self, address: &Address, calls: &[&Call]) -> Result<(), String> {
        // Answered calls whose answer comes after the call that is looked at, by when it comes.
        let mut open: BTreeMap<Moment, usize> = BTreeMap::new();
        let mut after = 0;
        for call in calls {
            while let Some(first) = open.first_entry().filter(|first| *first.key() < call.called) {
                after = after.max(first.remove());
            }
            if let Some(place) = self.place(address, call, after)? {
                open.insert(call.returned, place);
            }
        }
        Ok(())
    }

    fn place(&self, address: &Address, call: &Call, after: usize) -> Result<Option<usize>, String> {
        let find = |seen: &Option<Mark>| {
            let found = (after..self.steps.len()).find(|place| self.steps[*place].state == *seen);
            found.map(Some).ok_or_else(|| format!("{address:?} was seen as {seen:?} too late, or never was: {call:?}"))
        };
        match (&call.asked, &call.told) {
            (Asked::Read(at) | Asked::List(at), Told::Found(found)) => {
                at.iter().zip(found).find(|(at, _)| *at == address).map_or(Ok(None), |(_, seen)| find(seen))
            }
            (Asked::Write { .. }, Told::Conflict { at, found, .. }) if at == address => find(found),
            (Asked::Write { id, makes, again: false, .. }, Told::Taken { .. })
                if makes.iter().any(|(at, _)| at == address) =>
            {
                match self.places.get(id) {
                    Some(place) if *place > after => Ok(Some(*place)),
                    Some(_) => Err(format!("{address:?} was written before what had been seen of it: {call:?}")),
                    None => Ok(None),
                }
            }
            _ => Ok(None),
        }
    }
}

type Writes = Vec<(Uuid, Option<Mark>)>;

impl History {
    /// A record's writes of one epoch: those that are stored, and those that were visible and are not.
    fn writes_of(&self, address: &Address, epoch: EpochId) -> (Writes, Writes) {
        let mut stored: Vec<(Seq, Uuid, Option<Mark>)> = Vec::new();
        let mut lost = stored.clone();
        for take in self.takes.iter().filter(|take| take.epoch == epoch) {
            for (_, edition) in take.editions.iter().filter(|(at, _)| at == address) {
                let one = (edition.seq, self.id_of(edition.writer.write_id), mark_of(edition));
                if self.is_stored(take.shard, edition.seq, edition.writer.write_id) {
                    stored.push(one);
                } else if take.cached {
                    lost.push(one);
                }
            }
        }
        let in_order = |mut writes: Vec<(Seq, Uuid, Option<Mark>)>| {
            writes.sort_by_key(|(seq, ..)| *seq);
            writes.into_iter().map(|(_, id, mark)| (id, mark)).collect()
        };
        (in_order(stored), in_order(lost))
    }

    /// Whether this very write is stored at this place.
    pub(super) fn is_stored(&self, shard: ShardId, seq: Seq, id: Uuid) -> bool {
        self.stored.get(&(shard, seq)).is_some_and(|(_, edition)| edition.writer.write_id == id)
    }

    /// The id by which its caller knows a write: values are his, ids may be minted on the way.
    fn id_of(&self, id: Uuid) -> Uuid {
        self.minted.get(&id).copied().unwrap_or(id)
    }
}
