//! A place in memory: the reference for what a Redis must do, and its stand-in for the simulation. Deterministic: the same
//! calls in the same order come to the same.
//!
//! A [`Model`] is the Redis itself, which restarts, fails over and forgets as it is told. Each [`Model::client`] is one
//! process's way to it.

mod part;

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicU64, atomic::Ordering::SeqCst},
};

use futures::{FutureExt, future::ready};
use holdfast_storage::{Class, Failure};
use parking_lot::Mutex;

use super::{Identity, Logged, Moves, Place, Seen, Standing, Taken, Ticket, Told, Trouble};
use crate::{
    domain::{Address, Edition, EpochId, Fence, Seq, ShardId},
    store::FenceScope,
};

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
        Client { model: self.clone(), accepted: Mutex::new(None), outage: Mutex::new(Outage::None) }
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

/// One process's way to a [`Model`].
#[derive(Debug)]
pub struct Client {
    model: Model,
    accepted: Mutex<Option<Identity>>,
    outage: Mutex<Outage>,
}

impl Client {
    /// From now on, for this process alone.
    pub fn set(&self, outage: Outage) {
        *self.outage.lock() = outage;
    }

    /// One step, in the life that was accepted.
    fn step<R: Send + 'static>(&self, step: impl FnOnce(&mut Data, u64) -> Result<R, Trouble>) -> Told<'_, R> {
        ready(self.reach(|state, share_bytes| {
            if self.accepted.lock().as_ref() != Some(&state.identity) {
                return Err(Trouble::Closed);
            }
            step(&mut state.data, share_bytes)
        }))
        .boxed()
    }

    fn reach<R>(&self, step: impl FnOnce(&mut State, u64) -> Result<R, Trouble>) -> Result<R, Trouble> {
        let mut state = self.model.shared.state.lock();
        let outages = [state.outage, *self.outage.lock()];
        if outages.contains(&Outage::Away) {
            return Err(away(false));
        }
        let done = step(&mut state, self.model.shared.share_bytes);
        if outages.contains(&Outage::Mute) { Err(away(true)) } else { done }
    }

    /// One step in an epoch that is open.
    fn within<R: Send + 'static>(
        &self,
        shard: ShardId,
        epoch: EpochId,
        step: impl FnOnce(&mut Part, u64) -> Result<R, Trouble>,
    ) -> Told<'_, R> {
        self.step(|data, share_bytes| match data.get_mut(&(shard.index(), epoch.0)) {
            Some(part) if part.is_open() => step(part, share_bytes),
            _ => Err(Trouble::Closed),
        })
    }
}

fn away(in_doubt: bool) -> Trouble {
    Trouble::Away { failure: Failure::new(Class::Io, "the place does not answer"), in_doubt }
}

impl Place for Client {
    fn identity(&self) -> Told<'_, Identity> {
        ready(self.reach(|state, _| Ok(state.identity.clone()))).boxed()
    }

    fn accept(&self, identity: &Identity) {
        *self.accepted.lock() = Some(identity.clone());
    }

    fn open(&self, shard: ShardId, epoch: EpochId, stored: Seq) -> Told<'_, ()> {
        self.step(|data, _| {
            data.entry((shard.index(), epoch.0)).or_insert_with(|| Part::new(stored));
            Ok(())
        })
    }

    fn close(&self, shard: ShardId, epoch: EpochId) -> Told<'_, ()> {
        self.step(|data, _| {
            data.get_mut(&(shard.index(), epoch.0)).into_iter().for_each(Part::close);
            Ok(())
        })
    }

    fn survivors(&self, shard: ShardId, epoch: EpochId, after: Seq, bytes: usize) -> Told<'_, Vec<Logged>> {
        self.step(|data, _| {
            let part = data.get_mut(&(shard.index(), epoch.0));
            Ok(part.map_or_else(Vec::new, |part| part.survivors(after, bytes)))
        })
    }

    fn clear(&self, shard: ShardId, epoch: EpochId) -> Told<'_, Vec<EpochId>> {
        self.step(|data, _| {
            if !data.get(&(shard.index(), epoch.0)).is_some_and(Part::is_open) {
                return Err(Trouble::Closed);
            }
            let other = |key: &(usize, u64)| key.0 == shard.index() && key.1 != epoch.0;
            data.retain(|key, part| !other(key) || part.is_set_aside());
            let kept = data.iter_mut().filter(|(key, _)| other(key));
            Ok(kept.map(|(key, part)| (part.close(), EpochId(key.1)).1).collect())
        })
    }

    fn look<'p>(&'p self, shard: ShardId, epoch: EpochId, addresses: &'p [Address]) -> Told<'p, Vec<Seen>> {
        self.within(shard, epoch, |part, _| Ok(addresses.iter().map(|address| part.look(address)).collect()))
    }

    fn take<'p>(&'p self, shard: ShardId, epoch: EpochId, moves: &'p Moves) -> Told<'p, Taken> {
        self.within(shard, epoch, |part, share_bytes| Ok(part.take(moves, share_bytes)))
    }

    fn tickets<'p>(&'p self, shard: ShardId, epoch: EpochId, addresses: &'p [Address]) -> Told<'p, Vec<Ticket>> {
        self.within(shard, epoch, |part, _| Ok(addresses.iter().map(|address| part.ticket(address)).collect()))
    }

    fn install<'p>(
        &'p self,
        shard: ShardId,
        epoch: EpochId,
        found: &'p [(Address, Ticket, Option<Arc<Edition>>)],
    ) -> Told<'p, ()> {
        self.within(shard, epoch, |part, share_bytes| {
            part.install(found, share_bytes);
            Ok(())
        })
    }

    fn log(&self, shard: ShardId, epoch: EpochId, after: Seq, bytes: usize) -> Told<'_, Vec<Logged>> {
        self.within(shard, epoch, |part, _| Ok(part.log(after, bytes)))
    }

    fn mark(&self, shard: ShardId, epoch: EpochId, stored: Seq) -> Told<'_, ()> {
        self.within(shard, epoch, |part, share_bytes| part.mark(stored, share_bytes))
    }

    fn arm(&self, shard: ShardId, epoch: EpochId, at: Seq, armed: bool) -> Told<'_, bool> {
        self.within(shard, epoch, |part, _| Ok(part.arm(at, armed)))
    }

    fn standing(&self, shard: ShardId, epoch: EpochId) -> Told<'_, Standing> {
        self.within(shard, epoch, |part, _| Ok(part.standing()))
    }

    fn fence_ticket<'p>(&'p self, shard: ShardId, epoch: EpochId, scope: &'p FenceScope) -> Told<'p, Ticket> {
        self.within(shard, epoch, |part, _| Ok(part.fence_ticket(scope)))
    }

    fn install_fence<'p>(
        &'p self,
        shard: ShardId,
        epoch: EpochId,
        scope: &'p FenceScope,
        ticket: &'p Ticket,
        fence: &'p Fence,
    ) -> Told<'p, ()> {
        self.within(shard, epoch, |part, _| {
            part.install_fence(scope, ticket, fence);
            Ok(())
        })
    }

    fn raise_fence<'p>(
        &'p self,
        shard: ShardId,
        epoch: EpochId,
        scope: &'p FenceScope,
        fence: &'p Fence,
    ) -> Told<'p, ()> {
        self.within(shard, epoch, |part, _| {
            part.raise_fence(scope, fence);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests;
