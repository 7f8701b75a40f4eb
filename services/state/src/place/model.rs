//! A place in memory: the reference for what a Redis must do, and its stand-in for the simulation. Deterministic: the same
//! calls in the same order come to the same.
//!
//! A [`Model`] is the Redis itself, which restarts, fails over and forgets as it is told. Each [`Model::client`] is one
//! process's way to it.

mod client;
mod part;

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicU64, atomic::Ordering::SeqCst},
};

use parking_lot::Mutex;

use super::{Identity, Standing};
use crate::domain::{EpochId, ShardId};

pub use client::Client;
use part::Part;

/// What stands between a process and the place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Outage {
    /// Nothing.
    #[default]
    None,
    /// What is asked does not arrive.
    Away,
    /// What is asked is done, and the answer is lost.
    Mute,
}

/// The place, shared by everybody who has a [`Client`] of it.
#[derive(Debug, Clone)]
pub struct Model {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    share_bytes: u64,
    lives: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    identity: Identity,
    outage: Outage,
    data: Data,
}

type Data = BTreeMap<(usize, u64), Part>;

/// What a place held at some time: what a replica has, or a file.
#[derive(Debug, Clone)]
pub struct Snapshot(Data);

impl Model {
    /// An empty place, where each shard's visible records take about `share_bytes`.
    pub fn new(share_bytes: u64) -> Self {
        let state = State { identity: life(0), outage: Outage::None, data: Data::new() };
        Self { shared: Arc::new(Shared { share_bytes, lives: AtomicU64::new(0), state: Mutex::new(state) }) }
    }

    /// One process's way to it.
    pub fn client(&self) -> Client {
        Client::new(self)
    }

    /// From now on, for every process.
    pub fn set(&self, outage: Outage) {
        self.shared.state.lock().outage = outage;
    }

    /// All that it holds now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.shared.state.lock().data.clone())
    }

    /// Another life of it begins with what there was at some time: a restart from a file, or a replica takes over.
    pub fn live_again(&self, with: Snapshot) {
        let mut state = self.shared.state.lock();
        state.identity = life(self.shared.lives.fetch_add(1, SeqCst) + 1);
        state.data = with.0;
    }

    /// Another, empty one stands at the same address.
    pub fn replace(&self) {
        self.live_again(Snapshot(Data::new()));
    }

    /// Everything is deleted in it, and it goes on.
    pub fn forget(&self) {
        self.shared.state.lock().data.clear();
    }

    /// What the visible records of a shard's epoch take by the place's own count.
    pub fn bytes(&self, shard: ShardId, epoch: EpochId) -> u64 {
        self.shared.state.lock().data.get(&(shard.index(), epoch.0)).map_or(0, Part::bytes)
    }

    /// Where a shard's log stands in an epoch, seen from above: open or not, and whatever stands between.
    pub fn standing(&self, shard: ShardId, epoch: EpochId) -> Option<Standing> {
        self.shared.state.lock().data.get(&(shard.index(), epoch.0)).map(Part::standing)
    }
}

fn life(number: u64) -> Identity {
    Identity(format!("life {number}"))
}

#[cfg(test)]
mod tests;
