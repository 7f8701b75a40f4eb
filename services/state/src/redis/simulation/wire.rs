//! A process's way to the place: every call travels there and back. A call goes by the life that its process had accepted
//! when it was made.

use std::sync::Arc;

use futures::{FutureExt as _, future::BoxFuture};
use parking_lot::Mutex;

use super::{history::Take, process::Life, world::Shared};
use crate::{
    domain::{Address, Edition, EpochId, Fence, Seq, ShardId},
    place::{
        Identity, Logged, Moves, Place, Seen, Standing, Survivors, Taken, Ticket, Told, Trouble,
        model::{Client, Outage},
    },
    redis::Fault,
    store::{Bound, FenceScope},
};

/// The longest way of a call, in milliseconds.
const WAY_MS: u64 = 2;

pub(super) struct Wire {
    pub(super) shared: Arc<Shared>,
    pub(super) life: Arc<Life>,
    client: Mutex<Arc<Client>>,
    outage: Mutex<Outage>,
}

impl Wire {
    pub(super) fn new(shared: Arc<Shared>, life: Arc<Life>) -> Self {
        let client = Mutex::new(Arc::new(shared.place.client()));
        Self { shared, life, client, outage: Mutex::new(Outage::None) }
    }

    /// From now on, for this process alone.
    pub(super) fn set(&self, outage: Outage) {
        *self.outage.lock() = outage;
        self.client.lock().set(outage);
    }

    fn call<'p, R: Send + 'p>(
        &'p self,
        shard: Option<ShardId>,
        call: impl FnOnce(Arc<Client>) -> BoxFuture<'p, Result<R, Trouble>> + Send + 'p,
    ) -> Told<'p, R> {
        let client = Arc::clone(&self.client.lock());
        // Nobody looks at the other shards: they cost no time.
        let way = if shard.is_none_or(|shard| self.shared.uses(shard)) { WAY_MS } else { 0 };
        async move {
            self.life.step(way).await;
            if self.shared.faults.has(Fault::IdentityUnchecked)
                && let Some(Ok(now)) = client.identity().now_or_never()
            {
                client.accept(&now);
            }
            let said = call(client).await;
            self.life.step(way).await;
            said
        }
        .boxed()
    }
}

/// `client.call(…)` as a future that owns the client.
macro_rules! through {
    ($self:ident, $shard:expr, $name:ident($($argument:expr),*)) => {
        $self.call($shard, move |client| async move { client.$name($($argument),*).await }.boxed())
    };
}

impl Place for Wire {
    fn identity(&self) -> Told<'_, Identity> {
        through!(self, None, identity())
    }

    fn accept(&self, identity: &Identity) {
        let client = self.shared.place.client();
        client.accept(identity);
        client.set(*self.outage.lock());
        *self.client.lock() = Arc::new(client);
    }

    fn open(&self, shard: ShardId, epoch: EpochId, stored: Seq) -> Told<'_, ()> {
        through!(self, Some(shard), open(shard, epoch, stored))
    }

    fn close(&self, shard: ShardId, epoch: EpochId) -> Told<'_, ()> {
        through!(self, Some(shard), close(shard, epoch))
    }

    fn survivors(&self, shard: ShardId, epoch: EpochId, after: Seq, bytes: usize) -> Told<'_, Survivors> {
        through!(self, Some(shard), survivors(shard, epoch, after, bytes))
    }

    fn set_aside(&self, shard: ShardId, epoch: EpochId, after: Seq, bytes: usize) -> Told<'_, Vec<Logged>> {
        through!(self, Some(shard), set_aside(shard, epoch, after, bytes))
    }

    fn clear(&self, shard: ShardId, epoch: EpochId) -> Told<'_, Vec<EpochId>> {
        through!(self, Some(shard), clear(shard, epoch))
    }

    fn look<'p>(&'p self, shard: ShardId, epoch: EpochId, addresses: &'p [Address]) -> Told<'p, Vec<Seen>> {
        through!(self, Some(shard), look(shard, epoch, addresses))
    }

    fn take<'p>(&'p self, shard: ShardId, epoch: EpochId, moves: &'p Moves) -> Told<'p, Taken> {
        let shared = Arc::clone(&self.shared);
        self.call(Some(shard), move |client| {
            async move {
                // What it becomes is seen from above, though its answer may be lost.
                let before = shared.place.standing(shard, epoch);
                let said = client.take(shard, epoch, moves).await;
                if let Some(first) = shared
                    .place
                    .standing(shard, epoch)
                    .filter(|after| before.is_none_or(|before| before.decided != after.decided))
                {
                    let first = first.decided + 1 - moves.moves.len() as u64;
                    shared.history.lock().take(Take::of(epoch, shard, first, moves));
                }
                said
            }
            .boxed()
        })
    }

    fn tickets<'p>(&'p self, shard: ShardId, epoch: EpochId, addresses: &'p [Address]) -> Told<'p, Vec<Ticket>> {
        through!(self, Some(shard), tickets(shard, epoch, addresses))
    }

    fn install<'p>(
        &'p self,
        shard: ShardId,
        epoch: EpochId,
        found: &'p [(Address, Ticket, Option<Arc<Edition>>)],
    ) -> Told<'p, ()> {
        through!(self, Some(shard), install(shard, epoch, found))
    }

    fn log(&self, shard: ShardId, epoch: EpochId, after: Seq, bytes: usize) -> Told<'_, Vec<Logged>> {
        through!(self, Some(shard), log(shard, epoch, after, bytes))
    }

    fn mark(&self, shard: ShardId, epoch: EpochId, stored: Seq) -> Told<'_, ()> {
        through!(self, Some(shard), mark(shard, epoch, stored))
    }

    fn arm(&self, shard: ShardId, epoch: EpochId, at: Seq, armed: Option<Bound>) -> Told<'_, bool> {
        through!(self, Some(shard), arm(shard, epoch, at, armed))
    }

    fn standing(&self, shard: ShardId, epoch: EpochId) -> Told<'_, Standing> {
        through!(self, Some(shard), standing(shard, epoch))
    }

    fn fence_ticket<'p>(&'p self, shard: ShardId, epoch: EpochId, scope: &'p FenceScope) -> Told<'p, Ticket> {
        through!(self, Some(shard), fence_ticket(shard, epoch, scope))
    }

    fn install_fence<'p>(
        &'p self,
        shard: ShardId,
        epoch: EpochId,
        scope: &'p FenceScope,
        ticket: &'p Ticket,
        fence: &'p Fence,
    ) -> Told<'p, ()> {
        through!(self, Some(shard), install_fence(shard, epoch, scope, ticket, fence))
    }

    fn raise_fence<'p>(
        &'p self,
        shard: ShardId,
        epoch: EpochId,
        scope: &'p FenceScope,
        fence: &'p Fence,
    ) -> Told<'p, ()> {
        through!(self, Some(shard), raise_fence(shard, epoch, scope, fence))
    }
}
