//! Fences: their home is the store; the place has copies, each of which the home knows of.

use std::sync::Arc;

use futures::future::{FutureExt as _, try_join_all};

use super::{
    archive::Deciding,
    engine::{Engine, Halt},
    planted::Fault,
};
use crate::{
    domain::{EpochId, Fence, ShardId, Standing},
    failed::Failed,
    store::FenceScope,
    write::Holder,
};

impl Engine {
    /// Makes a lease's fence the one that counts: in its home, then wherever there is a copy.
    pub(super) async fn register(self: &Arc<Self>, holder: &Holder) -> Result<(), Failed> {
        let in_place = |deciding: Arc<Deciding>| self.register_in_place(deciding.epoch, holder).boxed();
        let registered = self.settle(in_place, || self.store.register_fence(holder)).await;
        if let Err(Failed::Fenced(_)) = &registered {
            self.tally.calls.fence_refusals.increment(1);
        }
        registered
    }

    /// Ends every lease of a scope up to a fence, in the same order.
    pub(super) async fn raise(self: &Arc<Self>, scope: &FenceScope, number: u64) -> Result<(), Failed> {
        let in_place = |deciding: Arc<Deciding>| self.raise_in_place(deciding.epoch, scope, number).boxed();
        self.settle(in_place, || self.store.raise_fence(scope, number)).await
    }

    async fn register_in_place(&self, epoch: EpochId, holder: &Holder) -> Result<(), Halt> {
        let copies = self.confirm(epoch, holder, None).await?;
        self.raise_copies(epoch, &holder.scope, &fence_of(holder), copies).await
    }

    async fn raise_in_place(&self, epoch: EpochId, scope: &FenceScope, number: u64) -> Result<(), Halt> {
        match self.archive.raise_fence(epoch, scope, number).await? {
            Some((fence, copies)) => self.raise_copies(epoch, scope, &fence, copies).await,
            None => Err(Halt::Ended { in_doubt: false }),
        }
    }

    /// Gives a shard its copy of a fence that its home confirms. Whoever raised it may not have come as far as the other
    /// copies, so they are raised here as well.
    pub(super) async fn fill_fence(&self, epoch: EpochId, shard: ShardId, holder: Option<&Holder>) -> Result<(), Halt> {
        let Some(holder) = holder else { return Ok(()) };
        let fence = fence_of(holder);
        let ticket = self.place.fence_ticket(shard, epoch, &holder.scope).await;
        let ticket = ticket.map_err(|trouble| self.halted(epoch, trouble))?;
        let copies = self.confirm(epoch, holder, Some(shard)).await?;
        let others = copies.into_iter().filter(|copy| *copy != shard).collect();
        self.raise_copies(epoch, &holder.scope, &fence, others).await?;
        let installed = self.place.install_fence(shard, epoch, &holder.scope, &ticket, &fence).await;
        installed.map_err(|trouble| self.halted(epoch, trouble))
    }

    /// A fence that is forgotten has no notes of its copies any more, so one of them may not have been told of a newer one: who
    /// has a token from before what is remembered is refused, whatever the copy says.
    pub(super) fn refuse_forgotten(&self, holder: Option<&Holder>) -> Result<(), Failed> {
        let floor = self.lease.known().map_or(0, |known| known.fence_floor);
        match holder.is_some_and(|holder| holder.number < floor) {
            true => Err(Failed::Fenced(Standing::TooOld)),
            false => Ok(()),
        }
    }

    async fn confirm(&self, epoch: EpochId, holder: &Holder, copy: Option<ShardId>) -> Result<Vec<ShardId>, Halt> {
        match self.archive.confirm_fence(epoch, holder, copy).await? {
            Some(Ok(copies)) => Ok(copies),
            Some(Err(standing)) => Err(Failed::Fenced(refused(standing)).into()),
            None => Err(Halt::Ended { in_doubt: false }),
        }
    }

    async fn raise_copies(
        &self,
        epoch: EpochId,
        scope: &FenceScope,
        fence: &Fence,
        copies: Vec<ShardId>,
    ) -> Result<(), Halt> {
        if self.faults.has(Fault::CopyKept) {
            return Ok(());
        }
        let raised = copies.into_iter().map(|shard| self.place.raise_fence(shard, epoch, scope, fence));
        try_join_all(raised).await.map(drop).map_err(|trouble| self.halted(epoch, trouble))
    }
}

fn fence_of(holder: &Holder) -> Fence {
    Fence { number: holder.number, lease: Some(Arc::clone(&holder.lease)) }
}

/// What counts as a refusal: one that holds or is newer never is.
fn refused(standing: Standing) -> Standing {
    debug_assert!(matches!(standing, Standing::Superseded | Standing::TooOld));
    standing
}
