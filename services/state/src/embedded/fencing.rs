//! Fences as use cases.

use super::{Embedded, writes::settled};
use crate::failed::Failed;
use crate::{embedded::fences::Change, store::FenceScope, write::Holder};

impl Embedded {
    /// Makes a lease's fence the one that counts in its scope, durably.
    ///
    /// # Errors
    /// [`Failed::Fenced`] where a newer one counts, or the store is in trouble.
    pub(super) async fn settle_registration(&self, holder: &Holder) -> Result<(), Failed> {
        let registered = self.settle_fence(&holder.scope, || self.decks.fences.register(holder)).await;
        if let Err(Failed::Fenced(_)) = &registered {
            self.decks.metrics.fence_refusals.increment(1);
        }
        registered
    }

    /// Ends every lease of a scope up to a fence, durably.
    ///
    /// # Errors
    /// The store is in trouble.
    pub(super) async fn settle_raise(&self, scope: &FenceScope, number: u64) -> Result<(), Failed> {
        self.settle_fence(scope, || self.decks.fences.raise(scope, number)).await
    }

    async fn settle_fence(&self, scope: &FenceScope, change: impl Fn() -> Change) -> Result<(), Failed> {
        loop {
            match change() {
                Change::Done => return Ok(()),
                Change::Pending(stored) => {
                    self.decks.shared.bell.wake();
                    return settled(stored, true).await;
                }
                Change::Load => self.read_fence(scope).await?,
                Change::Refused(standing) => return Err(Failed::Fenced(standing)),
            }
        }
    }

    pub(super) async fn load_fence(&self, holder: Option<&Holder>) -> Result<(), Failed> {
        match holder {
            Some(holder) => self.read_fence(&holder.scope).await,
            None => Ok(()),
        }
    }

    /// The write has not been decided, whatever becomes of the fence.
    pub(super) async fn register_for_write(&self, holder: Option<&Holder>) -> Result<(), Failed> {
        let Some(holder) = holder else { return Ok(()) };
        match self.settle_fence(&holder.scope, || self.decks.fences.register(holder)).await {
            Err(Failed::Store(mut unstored)) => {
                unstored.in_doubt = false;
                Err(Failed::Store(unstored))
            }
            Err(Failed::Closed { .. }) => Err(Failed::Closed { in_doubt: false }),
            done => done,
        }
    }

    async fn read_fence(&self, scope: &FenceScope) -> Result<(), Failed> {
        let ticket = self.decks.fences.ticket(scope);
        let fence = self.shelf.fence(scope.clone()).await?;
        self.decks.fences.install(scope, ticket, fence);
        Ok(())
    }
}
