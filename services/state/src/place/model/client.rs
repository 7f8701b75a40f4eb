//! One process's way to the model.

use std::sync::Arc;

use futures::{FutureExt, future::ready};
use holdfast_storage::{Class, Failure};
use parking_lot::Mutex;

use super::{Data, Model, Outage, State, part::Part};
use crate::{
    domain::{Address, Edition, EpochId, Fence, Seq, ShardId},
    place::{Identity, Logged, Moves, Place, Seen, Standing, Survivors, Taken, Ticket, Told, Trouble},
    store::{Bound, FenceScope},
};

/// One process's way to a [`Model`].
#[derive(Debug)]
pub struct Client {
    model: Model,
    accepted: Mutex<Option<Identity>>,
    outage: Mutex<Outage>,
}

impl Client {
    pub(super) fn new(model: &Model) -> Self {
        Self { model: model.clone(), accepted: Mutex::new(None), outage: Mutex::new(Outage::None) }
    }

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

    fn survivors(&self, shard: ShardId, epoch: EpochId, after: Seq, bytes: usize) -> Told<'_, Survivors> {
        self.step(|data, _| {
            let part = data.get_mut(&(shard.index(), epoch.0));
            Ok(part.map_or_else(Survivors::default, |part| part.survivors(after, bytes)))
        })
    }

    fn set_aside(&self, shard: ShardId, epoch: EpochId, after: Seq, bytes: usize) -> Told<'_, Vec<Logged>> {
        self.step(|data, _| {
            let part = data.get(&(shard.index(), epoch.0));
            Ok(part.map_or_else(Vec::new, |part| part.log(after, bytes)))
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

    fn arm(&self, shard: ShardId, epoch: EpochId, at: Seq, armed: Option<Bound>) -> Told<'_, bool> {
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
