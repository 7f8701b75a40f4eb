//! What must be true of every history.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use super::{
    WINDOW,
    history::{Asked, Call, History, Moment, Told, mark_of},
    order::Order,
};
use crate::domain::{Address, EpochId, Micros, Seq, ShardId};

impl History {
    /// The first promise that is broken.
    pub(super) fn check(&mut self) -> Result<(), String> {
        self.calls.sort_by_key(|call| call.called);
        self.learn_ids();
        if self.stored_twice {
            return Err("two writes were stored at one place".into());
        }
        self.chains()?;
        self.versions()?;
        self.acknowledged()?;
        self.losses()?;
        self.refused()?;
        self.fences()?;
        self.answers()?;
        match self.unhealed.first() {
            Some(unhealed) => Err(format!("it did not heal: {unhealed}")),
            None => Ok(()),
        }
    }

    /// Where a caller gave no id, his write is known by what it makes.
    fn learn_ids(&mut self) {
        let mut by_mark: HashMap<u64, Uuid> = HashMap::new();
        for call in &self.calls {
            if let Asked::Write { id, makes, .. } = &call.asked {
                by_mark.extend(makes.iter().filter_map(|(_, mark)| Some(((*mark)?, *id))));
            }
        }
        for take in &self.takes {
            let known = take.editions.iter().find_map(|(_, edition)| by_mark.get(&mark_of(edition)?));
            if let Some(known) = known {
                self.minted.insert(take.editions[0].1.writer.write_id, *known);
            }
        }
    }

    /// Each record's history is one line: revisions without a gap, each leading back to the one before it.
    fn chains(&self) -> Result<(), String> {
        let mut newest: HashMap<&Address, (u64, Seq, HashSet<Uuid>)> = HashMap::new();
        for ((_, seq), (address, edition)) in &self.stored {
            let (revision, before, ids) = newest.entry(address).or_default();
            if edition.revision != *revision + 1 || edition.previous != *before {
                return Err(format!("a write was lost under another: {address:?} {edition:?} follows {before}"));
            }
            if !ids.insert(edition.writer.write_id) {
                return Err(format!("a write was taken twice: {address:?} {edition:?}"));
            }
            (*revision, *before) = (edition.revision, *seq);
        }
        Ok(())
    }

    /// No version is given twice.
    fn versions(&self) -> Result<(), String> {
        let mut given = HashSet::new();
        for take in self.takes.iter().filter(|take| take.cached || self.is_take_stored(take)) {
            for (address, edition) in &take.editions {
                if !given.insert((address.clone(), edition.vector.clone())) {
                    return Err(format!("a version was given twice: {address:?} {edition:?}"));
                }
            }
        }
        Ok(())
    }

    fn is_take_stored(&self, take: &super::history::Take) -> bool {
        take.editions.iter().all(|(_, edition)| self.is_stored(take.shard, edition.seq, edition.writer.write_id))
    }

    fn stored_ids(&self) -> HashSet<Uuid> {
        let ids = self.stored.values().map(|(_, edition)| edition.writer.write_id);
        ids.map(|id| self.minted.get(&id).copied().unwrap_or(id)).collect()
    }

    /// What was acknowledged as DURABLE is stored; what was acknowledged as CACHED is stored, or its loss is reported.
    fn acknowledged(&self) -> Result<(), String> {
        let stored = self.stored_ids();
        let cached: HashMap<Uuid, (EpochId, ShardId, Moment)> = self
            .takes
            .iter()
            .map(|take| (take.editions[0].1.writer.write_id, (take.epoch, take.shard, take.at)))
            .map(|(id, at)| (self.minted.get(&id).copied().unwrap_or(id), at))
            .collect();
        for call in &self.calls {
            let (Asked::Write { id, .. }, Told::Taken { durable, .. }) = (&call.asked, &call.told) else { continue };
            if stored.contains(id) {
                continue;
            }
            if *durable {
                return Err(format!("a DURABLE write is lost: {call:?}"));
            }
            let reported = cached.get(id).is_some_and(|(epoch, shard, at)| self.is_reported(*epoch, *shard, *at));
            if !reported {
                return Err(format!("a CACHED write is lost, and nobody said so: {call:?} {:?}", cached.get(id)));
            }
        }
        Ok(())
    }

    /// A report is about what came before it.
    fn is_reported(&self, epoch: EpochId, shard: ShardId, taken: Moment) -> bool {
        let is_about = |at: Micros| taken / 1_000 <= at.unsigned_abs();
        self.lost
            .iter()
            .any(|lost| lost.ended.epoch == epoch && lost.shards.contains(&shard) && is_about(lost.ended.at))
    }

    /// What is lost is the newest of its shard, and no more than the bound.
    fn losses(&self) -> Result<(), String> {
        let mut lost: BTreeMap<(EpochId, ShardId), Vec<Seq>> = BTreeMap::new();
        for take in self.takes.iter().filter(|take| take.cached && !self.is_take_stored(take)) {
            let places = take.editions.iter().map(|(_, edition)| edition.seq);
            lost.entry((take.epoch, take.shard)).or_default().extend(places);
        }
        for ((epoch, shard), places) in lost {
            if places.len() as u64 > WINDOW.writes {
                return Err(format!("more is lost than may be: {} of {shard:?} in {epoch}", places.len()));
            }
            let first = places.iter().min().copied().unwrap_or_default();
            let kept = self.takes.iter().filter(|take| (take.epoch, take.shard) == (epoch, shard));
            let newer = kept.filter(|take| take.first > first).find(|take| self.is_take_stored(take));
            if let Some(newer) = newer {
                return Err(format!("what is lost is not the newest: {first} in {epoch}, and {newer:?} is not"));
            }
        }
        Ok(())
    }

    /// What was refused was not taken.
    fn refused(&self) -> Result<(), String> {
        let stored = self.stored_ids();
        let mut asked: HashMap<Uuid, Vec<&Call>> = HashMap::new();
        for call in &self.calls {
            if let Asked::Write { id, .. } = &call.asked {
                asked.entry(*id).or_default().push(call);
            }
        }
        for (id, calls) in asked.into_iter().filter(|(id, _)| stored.contains(id)) {
            let refused = |call: &&&Call| match &call.told {
                Told::Conflict { may_have_happened, .. } => !may_have_happened,
                Told::Refused | Told::Lost | Told::NotDone => true,
                Told::Found(_) | Told::Taken { .. } | Told::Done | Told::Unknown => false,
            };
            // A repeat may be refused for a reason of its own: what it repeats may have been taken all the same.
            if let [call] = calls.as_slice()
                && refused(&call)
            {
                return Err(format!("a refused write was taken: {id} {call:?}"));
            }
        }
        Ok(())
    }

    /// Nobody writes under a fence once a higher one counts.
    fn fences(&self) -> Result<(), String> {
        let stored = self.stored_ids();
        for take in &self.takes {
            let Some((_, number)) = &take.fence else { continue };
            let id = take.editions[0].1.writer.write_id;
            if !stored.contains(&self.minted.get(&id).copied().unwrap_or(id)) {
                continue;
            }
            let higher = |call: &&Call| match (&call.asked, &call.told) {
                (Asked::Fence { number: other, .. }, Told::Done) => other > number && call.returned < take.at,
                _ => false,
            };
            if let Some(higher) = self.calls.iter().find(higher) {
                return Err(format!("a superseded lease wrote: {take:?} after {higher:?}"));
            }
        }
        Ok(())
    }

    /// One order of all calls explains every answer.
    fn answers(&self) -> Result<(), String> {
        let addresses: HashSet<&Address> =
            self.takes.iter().flat_map(|take| take.editions.iter().map(|(address, _)| address)).collect();
        let mut addresses: Vec<_> = addresses.into_iter().collect();
        addresses.sort_by_key(|address| format!("{address:?}"));
        let calls: Vec<_> = self.calls.iter().collect();
        for address in addresses {
            Order::of(self, address).explains(address, &calls).map_err(|why| format!("no order explains it: {why}"))?;
        }
        Ok(())
    }
}
