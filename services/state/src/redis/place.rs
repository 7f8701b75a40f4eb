//! The place of decision in a Redis: one script a call, each one step.

mod ask;
mod reply;

use std::sync::Arc;

use futures::FutureExt;
use holdfast_config::Redis as Settings;

use super::{codec, keys::Keys, scripts, server::Server};
use crate::{
    domain::{Address, Edition, EpochId, Fence, SHARDS, Seq, ShardId},
    place::{Identity, Logged, Moves, Place, Seen, Standing, Survivors, Taken, Ticket, Told},
    store::{Bound, FenceScope},
};

/// Tickets of a shard at once.
const TICKETS_MAX: u64 = 4_096;

/// What one step of a mark shows at most: what is longer would keep others waiting.
const MARK_BYTES: u64 = 1 << 20;
const MARK_ENTRIES: u64 = 256;

/// Records that one script looks at.
const LOOK_MAX: usize = 1_000;

/// A Redis as a place of decision.
#[derive(Debug)]
pub struct RedisPlace {
    server: Server,
    keys: Keys,
    share_bytes: u64,
}

impl RedisPlace {
    /// By the settings; `None` where they name no Redis. Nothing is opened yet.
    pub fn new(settings: &Settings) -> Option<Self> {
        let keys = Keys::new(&settings.prefix);
        let share_bytes = (settings.cache.bytes() / SHARDS) as u64;
        Some(Self { server: Server::new(settings, &keys)?, keys, share_bytes })
    }

    /// The same with another share of bytes for each shard's records.
    #[cfg(test)]
    pub(crate) fn with_share(self, share_bytes: u64) -> Self {
        Self { share_bytes, ..self }
    }

    /// Whether a Redis that is there is one that can be used; one that is not there yet may be.
    ///
    /// # Errors
    /// What is wrong with it, for whoever runs it.
    pub async fn check(&self) -> Result<(), String> {
        self.server.check().await
    }
}

impl Place for RedisPlace {
    fn identity(&self) -> Told<'_, Identity> {
        self.server.identity().boxed()
    }

    fn accept(&self, identity: &Identity) {
        self.server.accept(identity);
    }

    fn open(&self, shard: ShardId, epoch: EpochId, stored: Seq) -> Told<'_, ()> {
        let request = self.across(&scripts::OPEN, shard, epoch, Vec::new());
        self.done(shard, request.arg(epoch.to_string().into_bytes()).number(stored)).boxed()
    }

    fn close(&self, shard: ShardId, epoch: EpochId) -> Told<'_, ()> {
        self.done(shard, self.request(&scripts::CLOSE, shard, epoch)).boxed()
    }

    fn survivors(&self, shard: ShardId, epoch: EpochId, after: Seq, bytes: usize) -> Told<'_, Survivors> {
        let request = self.request(&scripts::LOG, shard, epoch).number(after + 1).number(bytes as u64);
        let request = request.arg(&b"end"[..]);
        async move { reply::survivors(self.server.call(shard, &request).await?.1) }.boxed()
    }

    fn set_aside(&self, shard: ShardId, epoch: EpochId, after: Seq, bytes: usize) -> Told<'_, Vec<Logged>> {
        let request = self.request(&scripts::LOG, shard, epoch).number(after + 1).number(bytes as u64);
        self.read_log(shard, request.arg(&b"aside"[..])).boxed()
    }

    /// One step for each of the other epochs: each is thrown away whole, or kept.
    fn clear(&self, shard: ShardId, epoch: EpochId) -> Told<'_, Vec<EpochId>> {
        async move {
            let (_, rows) = self.server.call(shard, &self.across(&scripts::EPOCHS, shard, epoch, Vec::new())).await?;
            let mut kept = Vec::new();
            for other in reply::epochs(rows)?.into_iter().filter(|other| *other != epoch) {
                if self.forget(shard, epoch, other).await? {
                    kept.push(other);
                }
            }
            Ok(kept)
        }
        .boxed()
    }

    fn look<'p>(&'p self, shard: ShardId, epoch: EpochId, addresses: &'p [Address]) -> Told<'p, Vec<Seen>> {
        async move {
            let mut seen = Vec::with_capacity(addresses.len());
            for addresses in addresses.chunks(LOOK_MAX) {
                let request = addresses.iter().fold(self.request(&scripts::LOOK, shard, epoch), |request, at| {
                    request.arg(at.as_text().as_bytes())
                });
                let (_, rows) = self.server.call(shard, &request).await?;
                reply::seen(rows, addresses, &mut seen)?;
            }
            Ok(seen)
        }
        .boxed()
    }

    fn take<'p>(&'p self, shard: ShardId, epoch: EpochId, moves: &'p Moves) -> Told<'p, Taken> {
        async move {
            let (lock, revision) =
                moves.guard.as_ref().map_or((&b""[..], 0), |(lock, revision)| (lock.as_text().as_bytes(), *revision));
            let (scope, fence) = moves
                .fence
                .as_ref()
                .map_or_else(Default::default, |(scope, fence)| (codec::scope(scope), codec::pack_fence(fence)));
            let request = self
                .request(&scripts::TAKE, shard, epoch)
                .arg(codec::pack_entry(moves))
                .number(self.share_bytes)
                .number(moves.window_writes)
                .number(moves.window_bytes)
                .arg(lock)
                .arg(revision.to_be_bytes().to_vec())
                .arg(scope.into_bytes())
                .arg(fence)
                .number(u64::try_from(moves.window_age.as_millis()).unwrap_or(u64::MAX))
                .number(moves.unstored_bytes);
            let (code, rows) = self.server.call(shard, &request).await?;
            reply::taken(code, &rows, moves.moves.len() as u64)
        }
        .boxed()
    }

    fn tickets<'p>(&'p self, shard: ShardId, epoch: EpochId, addresses: &'p [Address]) -> Told<'p, Vec<Ticket>> {
        let request = self.request(&scripts::TICKETS, shard, epoch).number(TICKETS_MAX).arg(&b"r"[..]);
        let request = addresses.iter().fold(request, |request, at| request.arg(at.as_text().as_bytes()));
        async move {
            let (_, rows) = self.server.call(shard, &request).await?;
            reply::tickets(rows, addresses.len())
        }
        .boxed()
    }

    fn install<'p>(
        &'p self,
        shard: ShardId,
        epoch: EpochId,
        found: &'p [(Address, Ticket, Option<Arc<Edition>>)],
    ) -> Told<'p, ()> {
        let request = self.request(&scripts::INSTALL, shard, epoch).number(self.share_bytes);
        let request = found.iter().fold(request, |request, (at, ticket, edition)| {
            request.arg(at.as_text().as_bytes()).arg(&*ticket.0).arg(codec::pack(edition.as_deref()))
        });
        self.done(shard, request).boxed()
    }

    fn log(&self, shard: ShardId, epoch: EpochId, after: Seq, bytes: usize) -> Told<'_, Vec<Logged>> {
        let request = self.request(&scripts::LOG, shard, epoch).number(after + 1).number(bytes as u64);
        self.read_log(shard, request.arg(&b""[..])).boxed()
    }

    /// A long mark takes several steps, each as good as a mark of less.
    fn mark(&self, shard: ShardId, epoch: EpochId, stored: Seq) -> Told<'_, ()> {
        async move {
            let request = self.request(&scripts::MARK, shard, epoch).number(stored).number(self.share_bytes);
            let request = request.number(MARK_BYTES).number(MARK_ENTRIES);
            while reply::number(&self.server.call(shard, &request).await?.1)? != 0 {}
            Ok(())
        }
        .boxed()
    }

    fn arm(&self, shard: ShardId, epoch: EpochId, at: Seq, armed: Option<Bound>) -> Told<'_, bool> {
        let request = self.request(&scripts::ARM, shard, epoch).number(at).number(armed.is_some().into());
        let bound = armed.unwrap_or(Bound { writes: 0, bytes: 0 });
        let request = request.number(bound.writes).number(bound.bytes);
        async move { Ok(reply::number(&self.server.call(shard, &request).await?.1)? == 1) }.boxed()
    }

    fn standing(&self, shard: ShardId, epoch: EpochId) -> Told<'_, Standing> {
        let request = self.request(&scripts::STANDING, shard, epoch);
        async move { reply::standing(&self.server.call(shard, &request).await?.1) }.boxed()
    }

    fn fence_ticket<'p>(&'p self, shard: ShardId, epoch: EpochId, scope: &'p FenceScope) -> Told<'p, Ticket> {
        let request = self.request(&scripts::TICKETS, shard, epoch).number(TICKETS_MAX);
        let request = request.arg(&b"f"[..]).arg(codec::scope(scope).into_bytes());
        async move {
            let (_, rows) = self.server.call(shard, &request).await?;
            Ok(reply::tickets(rows, 1)?.remove(0))
        }
        .boxed()
    }

    fn install_fence<'p>(
        &'p self,
        shard: ShardId,
        epoch: EpochId,
        scope: &'p FenceScope,
        ticket: &'p Ticket,
        fence: &'p Fence,
    ) -> Told<'p, ()> {
        self.done(shard, self.fence(shard, epoch, scope, fence).arg(&*ticket.0)).boxed()
    }

    fn raise_fence<'p>(
        &'p self,
        shard: ShardId,
        epoch: EpochId,
        scope: &'p FenceScope,
        fence: &'p Fence,
    ) -> Told<'p, ()> {
        self.done(shard, self.fence(shard, epoch, scope, fence)).boxed()
    }
}

#[cfg(test)]
mod tests;
