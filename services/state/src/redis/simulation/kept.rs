//! The store's model: tables in memory, each call one transaction at the moment when it is made.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use crate::{
    domain::{
        Address, Edition, Ended, EpochId, Epochs, Fence, Micros, Note, RecordId, SHARDS, Seq, ShardId, Standing,
        fence::{raise, standing},
    },
    place::Logged,
    redis::{
        Fault, Faults,
        archive::{Deciding, Flushed, Prefix, ShardState, Unflushed, Who},
    },
    store::{Bound, FenceScope, LostEpoch, Page, PageQuery},
    write::Holder,
};

#[derive(Debug)]
pub(super) struct Kept {
    pub(super) epoch: EpochId,
    pub(super) who: Who,
    pub(super) draining: bool,
    pub(super) epochs: Epochs,
    pub(super) order: Vec<EpochId>,
    pub(super) lost: Vec<LostEpoch>,
    lease: Duration,
    pub(super) shards: Vec<ShardState>,
    pub(super) rows: BTreeMap<(ShardId, Seq), (Address, Arc<Edition>)>,
    pub(super) newest: HashMap<Address, Arc<Edition>>,
    fences: HashMap<FenceScope, (Fence, EpochId, BTreeSet<ShardId>)>,
    drawn: u64,
    /// A place of the history was given again.
    pub(super) stored_twice: bool,
    faults: Faults,
}

impl Kept {
    pub(super) fn new(faults: Faults) -> Self {
        let epoch = EpochId(1);
        Self {
            epoch,
            who: Who::Store,
            draining: false,
            epochs: Epochs::new(epoch),
            order: vec![epoch],
            lost: Vec::new(),
            lease: Duration::ZERO,
            shards: vec![ShardState { position: 0, dirty: None }; SHARDS],
            rows: BTreeMap::new(),
            newest: HashMap::new(),
            fences: HashMap::new(),
            drawn: 1,
            stored_twice: false,
            faults,
        }
    }

    pub(super) fn deciding(&self) -> Deciding {
        Deciding {
            epoch: self.epoch,
            who: self.who.clone(),
            draining: self.draining,
            epochs: Arc::new(self.epochs.clone()),
            losses: Arc::new(self.lost.clone()),
            lease: self.lease,
            floors: Arc::default(),
            fence_floor: 0,
            same_server: true,
            shards: self.shards.clone(),
        }
    }

    pub(super) fn believe(&mut self, epoch: EpochId, lease: Duration) {
        if self.epoch == epoch && !self.draining {
            self.lease = self.lease.max(lease);
        }
    }

    pub(super) fn drain(&mut self, epoch: EpochId) {
        self.draining |= self.epoch == epoch;
    }

    pub(super) fn flush(&mut self, epoch: EpochId, prefixes: Vec<Prefix>) -> Result<Vec<Flushed>, Unflushed> {
        let counts = self.epoch == epoch && self.who != Who::Store;
        if !counts {
            return Err(Unflushed::Ended);
        }
        Ok(prefixes.into_iter().map(|prefix| self.flush_one(prefix)).collect())
    }

    fn flush_one(&mut self, prefix: Prefix) -> Flushed {
        let (shard, last) = (prefix.shard, prefix.last());
        let stands = self.shards[shard.index()].position == prefix.after;
        if stands || self.faults.has(Fault::PositionUnchecked) {
            prefix.entries.iter().for_each(|entry| self.append(shard, entry));
            let state = &mut self.shards[shard.index()];
            state.position = last;
            state.dirty = prefix.marks.or(state.dirty);
        }
        let state = &self.shards[shard.index()];
        Flushed { shard, position: Some(state.position), dirty: state.dirty }
    }

    fn append(&mut self, shard: ShardId, entry: &Logged) {
        for (address, edition) in &entry.editions {
            self.store(shard, address, (**edition).clone());
        }
    }

    /// One more row of the history.
    pub(super) fn store(&mut self, shard: ShardId, address: &Address, edition: Edition) {
        self.stored_twice |= self.rows.contains_key(&(shard, edition.seq));
        let record = self.newest.get(address).map_or(self.newest.len() as RecordId + 1, |before| before.record);
        let edition = Arc::new(Edition { record, ..edition });
        self.rows.insert((shard, edition.seq), (address.clone(), Arc::clone(&edition)));
        self.newest.insert(address.clone(), edition);
    }

    pub(super) fn clean(&mut self, epoch: EpochId, shard: ShardId, at: Seq) -> bool {
        let state = &mut self.shards[shard.index()];
        let cleans = self.epoch == epoch && state.position == at;
        if cleans {
            state.dirty = None;
        }
        cleans
    }

    /// The last places of all shards, for the epoch that would come next.
    pub(super) fn next(&mut self) -> (EpochId, Vec<(ShardId, Seq)>) {
        // Drawn anew each time: an id that a failed change has used is never used again.
        self.drawn += 1;
        let places = ShardId::all().zip(&self.shards).map(|(shard, state)| (shard, state.position));
        (EpochId(self.drawn), places.collect())
    }

    pub(super) fn switch(&mut self, next: EpochId, who: Who, now: Micros) -> Option<LostEpoch> {
        let ended = Ended { epoch: self.epoch, at: now };
        let dirty: Vec<(ShardId, Bound)> =
            ShardId::all().zip(&self.shards).filter_map(|(shard, state)| Some((shard, state.dirty?))).collect();
        let lost = (!dirty.is_empty() && !self.faults.has(Fault::LossHidden)).then(|| LostEpoch {
            ended,
            shards: dirty.iter().map(|(shard, _)| *shard).collect(),
            bound: Bound {
                writes: dirty.iter().map(|(_, bound)| bound.writes).sum(),
                bytes: dirty.iter().map(|(_, bound)| bound.bytes).sum(),
            },
        });
        let mut epochs = Epochs::new(next);
        for old in &self.order {
            match self.lost.iter().chain(&lost).find(|lost| lost.ended.epoch == *old) {
                Some(lost) => epochs.add_lost(lost.ended),
                None => epochs.fold(*old),
            }
        }
        self.lost.extend(lost.clone());
        self.shards.iter_mut().for_each(|state| state.dirty = None);
        (self.epoch, self.who, self.draining, self.epochs) = (next, who, false, epochs);
        self.lease = Duration::ZERO;
        self.order.push(next);
        lost
    }

    pub(super) fn confirm_fence(
        &mut self,
        epoch: EpochId,
        holder: &Holder,
        copy: Option<ShardId>,
    ) -> Option<Result<Vec<ShardId>, Standing>> {
        if epoch != self.epoch {
            return None;
        }
        let held = self.fences.get(&holder.scope).map(|(fence, ..)| fence);
        match standing(held, 0, holder.number, &holder.lease) {
            Standing::Holds => {}
            Standing::Newer => {
                let fence = Fence { number: holder.number, lease: Some(Arc::clone(&holder.lease)) };
                self.set_fence(&holder.scope, fence);
            }
            refused => return Some(Err(refused)),
        }
        let copies = self.copies(&holder.scope);
        copies.extend(copy);
        Some(Ok(copies.iter().copied().collect()))
    }

    pub(super) fn raise_fence(
        &mut self,
        epoch: EpochId,
        scope: &FenceScope,
        number: u64,
    ) -> Option<(Fence, Vec<ShardId>)> {
        if epoch != self.epoch {
            return None;
        }
        if let Some(raised) = raise(self.fences.get(scope).map(|(fence, ..)| fence), number) {
            self.set_fence(scope, raised);
        }
        let copies = self.copies(scope).iter().copied().collect();
        Some((self.fences[scope].0.clone(), copies))
    }

    fn set_fence(&mut self, scope: &FenceScope, fence: Fence) {
        let epoch = self.epoch;
        let known = self.fences.entry(scope.clone()).or_insert((fence.clone(), epoch, BTreeSet::new()));
        known.0 = fence;
    }

    /// Which shards have copies in this epoch.
    fn copies(&mut self, scope: &FenceScope) -> &mut BTreeSet<ShardId> {
        let epoch = self.epoch;
        let nobody = || (Fence { number: 0, lease: None }, epoch, BTreeSet::new());
        let (_, since, copies) = self.fences.entry(scope.clone()).or_insert_with(nobody);
        if *since != epoch {
            (*since, *copies) = (epoch, BTreeSet::new());
        }
        copies
    }

    pub(super) fn page(&self, query: &PageQuery) -> Page {
        let inside = |address: &Address, edition: &Edition| query.partition.contains(address) && edition.is_live();
        let mut records: Vec<_> = self
            .newest
            .iter()
            .filter(|(address, edition)| inside(address, edition))
            .map(|(address, edition)| (address.clone(), Arc::clone(edition)))
            .collect();
        records.sort_by(|(one, _), (other, _)| one.key().cmp(other.key()));
        let flushes = self.shards[query.partition.shard().index()].position;
        Page { records, more: false, flushes }
    }

    pub(super) fn note(edition: &Edition) -> Note {
        edition.into()
    }
}
