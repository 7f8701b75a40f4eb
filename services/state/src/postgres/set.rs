//! The working set of one transaction: what its orders are decided by, and what they leave. No I/O.
//!
//! Invariants:
//! - Orders are decided one after another, each by what those before it left. So what one of them finds is stored once the
//!   transaction is committed, and shown to nobody before.
//! - Places rise by one within a shard, from the one that its locked row names.

mod judge;
#[cfg(test)]
mod model;
mod repeat;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use uuid::Uuid;

use super::order::{Answer, Order};
use crate::{
    domain::{self, Address, Edition, EpochId, Epochs, Note, Precondition, Seq, ShardId, Vector},
    recall::TrailStart,
    store::{Change, FenceScope, postgres::tables::Tried},
    write::{Command, Current, Write},
};

/// What was loaded, and what becomes of it.
#[derive(Debug, Default)]
pub(super) struct Set {
    shards: BTreeMap<ShardId, Standing>,
    records: HashMap<Address, Slot>,
    blind: HashMap<(Address, Uuid), Note>,
    fences: HashMap<FenceScope, Tried>,
    fence_floor: u64,
    changes: Vec<Change>,
    /// A fault planted by a test: every write is taken as if it were a blind overwrite.
    careless: bool,
}

/// A shard whose row is locked.
#[derive(Debug)]
struct Standing {
    epochs: Arc<Epochs>,
    floor: Vector,
    loaded: Seq,
    last: Seq,
}

/// One record.
#[derive(Debug, Default)]
struct Slot {
    loaded: Option<Arc<Edition>>,
    /// Oldest first.
    made: Vec<Arc<Edition>>,
}

impl Slot {
    fn newest(&self) -> Option<&Arc<Edition>> {
        self.made.last().or(self.loaded.as_ref())
    }

    fn newest_first(&self) -> impl Iterator<Item = &Arc<Edition>> {
        self.made.iter().rev().chain(&self.loaded)
    }
}

impl Set {
    /// A shard, locked as it stands, with the epochs by which its versions are compared.
    pub(super) fn put_shard(&mut self, shard: ShardId, epochs: Arc<Epochs>, floor: Vector, position: Seq) {
        self.shards.insert(shard, Standing { epochs, floor, loaded: position, last: position });
    }

    /// A record as it stands; `None`: there is no such record.
    pub(super) fn put_record(&mut self, address: Address, edition: Option<Edition>) {
        self.records.insert(address, Slot { loaded: edition.map(Arc::new), made: Vec::new() });
    }

    /// A blind write that was made before.
    pub(super) fn put_blind(&mut self, address: Address, note: Note) {
        self.blind.insert((address, note.writer.write_id), note);
    }

    /// A fence that cannot rise until the transaction ends, or that somebody is raising.
    pub(super) fn put_fence(&mut self, scope: FenceScope, tried: Tried) {
        self.fences.insert(scope, tried);
    }

    /// The oldest fence that is remembered.
    pub(super) fn put_fence_floor(&mut self, floor: u64) {
        self.fence_floor = floor;
    }

    /// Plants the fault.
    #[cfg(feature = "planted-faults")]
    pub(super) fn be_careless(&mut self, careless: bool) {
        self.careless = careless;
    }

    /// Whether a shard's row is locked.
    pub(super) fn has(&self, shard: ShardId) -> bool {
        self.shards.contains_key(&shard)
    }

    /// The writes that were taken, in their order.
    pub(super) fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The shards with writes: where each stood, and where it stands with them.
    pub(super) fn advances(&self) -> impl Iterator<Item = (ShardId, Seq, Seq)> {
        let moved = self.shards.iter().filter(|(_, standing)| standing.last > standing.loaded);
        moved.map(|(shard, standing)| (*shard, standing.loaded, standing.last))
    }

    /// What the history has of the records, with what this transaction leaves there, and the epoch of it.
    pub(super) fn in_hand(&self) -> impl Iterator<Item = (EpochId, ShardId, &Arc<Edition>)> {
        self.records.iter().flat_map(|(address, slot)| {
            let shard = address.shard();
            let epoch = self.shards.get(&shard).map(|standing| standing.epochs.current());
            epoch.into_iter().flat_map(move |epoch| slot.newest_first().map(move |edition| (epoch, shard, edition)))
        })
    }

    /// Decides an order.
    pub(super) fn decide(&mut self, order: &Order) -> Answer {
        let Some(shard) = order.shard() else { return Answer::Taken(Vec::new()) };
        if !self.has(shard) {
            return Answer::Skipped;
        }
        let refused = self.fenced(order).or_else(|| self.lock_lost(&order.command)).or_else(|| self.repeated(order));
        refused.or_else(|| self.judge_all(&order.command, shard)).unwrap_or_else(|| self.take(&order.command, shard))
    }

    fn take(&mut self, command: &Command, shard: ShardId) -> Answer {
        let write_id = command.write_id.unwrap_or_else(Uuid::now_v7);
        let editions: Vec<_> = command.writes.iter().map(|write| self.apply(write, command, shard, write_id)).collect();
        Answer::Taken(editions.iter().map(|edition| (&**edition).into()).collect())
    }

    fn apply(&mut self, write: &Write, command: &Command, shard: ShardId, write_id: Uuid) -> Arc<Edition> {
        let Some(standing) = self.shards.get_mut(&shard) else {
            unreachable!("only orders of locked shards are taken")
        };
        let slot = self.records.entry(write.address.clone()).or_default();
        let before = slot.newest();
        standing.last += 1;
        let edition = Arc::new(Edition {
            // The store numbers records by their addresses.
            record: before.map_or(0, |before| before.record),
            seq: standing.last,
            previous: before.map_or(0, |before| before.seq),
            revision: domain::next_revision(&write.address, before.map(|before| &**before), &standing.floor),
            vector: before.map_or(&standing.floor, |before| &before.vector).next(&standing.epochs),
            value: write.value.clone(),
            writer: domain::Writer { write_id, invocation_id: Arc::clone(&command.invocation_id), time: command.now },
            blind: write.precondition == Precondition::Overwrite,
            expires: write.expires,
        });
        let creates = before.is_none();
        slot.made.push(Arc::clone(&edition));
        self.changes.push(Change { address: write.address.clone(), edition: Arc::clone(&edition), creates });
        edition
    }

    fn newest(&self, address: &Address) -> Option<&Arc<Edition>> {
        self.records.get(address)?.newest()
    }

    fn current(&self, address: &Address, shard: ShardId) -> Current {
        let edition = self.newest(address).cloned();
        let floor = || self.shards.get(&shard).map(|standing| standing.floor.clone()).unwrap_or_default();
        let vector = edition.as_ref().map_or_else(floor, |edition| edition.vector.clone());
        Current { address: address.clone(), edition, vector }
    }

    /// Where the histories of a command's records start. What this transaction has in hand need not be read.
    fn trails(&self, command: &Command) -> Vec<TrailStart> {
        command.writes.iter().map(|write| self.trail(&write.address)).collect()
    }

    fn trail(&self, address: &Address) -> TrailStart {
        let Some(slot) = self.records.get(address) else { return TrailStart::default() };
        TrailStart {
            at_hand: slot.newest_first().map(|edition| (&**edition).into()).collect(),
            stored: true,
            from: slot.loaded.as_ref().map_or(0, |loaded| loaded.previous),
            record: slot.loaded.as_ref().map_or(0, |loaded| loaded.record),
            newest: slot.newest().cloned(),
            before: None,
        }
    }
}
