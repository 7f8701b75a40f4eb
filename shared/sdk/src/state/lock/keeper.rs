//! Keeps a lock: renews it until it is lost or given back.

use std::time::Duration;

use holdfast_proto::state::v1 as pb;
use tokio::{
    sync::{oneshot, watch},
    time::Instant,
};

use super::LockRequest;
use crate::{Error, calls::Limits, state::State};

/// A renewal that failed is tried again after this part of the lock's time.
const AGAIN: u32 = 10;
/// A lock that is given back is waited for so long: its time ends by itself.
const RELEASE: Duration = Duration::from_secs(5);

/// Whether a lock is held, by this process's monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Until then; renewing moves it on.
    Until(Instant),
    /// Not any more.
    Lost,
}

impl Standing {
    pub(super) fn is_held(&self, now: Instant) -> bool {
        matches!(self, Self::Until(end) if now < *end)
    }

    pub(super) fn is_lost(&self) -> bool {
        *self == Self::Lost
    }
}

/// What a lock's task has in hand.
pub(super) struct Keeper {
    state: State,
    request: LockRequest,
    fence: u64,
    standing: watch::Sender<Standing>,
}

impl Keeper {
    pub(super) fn new(state: State, request: LockRequest, fence: u64, standing: watch::Sender<Standing>) -> Self {
        Self { state, request, fence, standing }
    }

    /// Renews until `ended`, then gives the lock back. It was asked for, or renewed, at `sent`.
    pub(super) async fn keep(self, sent: Instant, mut ended: oneshot::Receiver<()>) -> Result<(), Error> {
        tokio::select! {
            biased;
            _ = &mut ended => {}
            () = self.renew_on(sent) => {
                self.standing.send_replace(Standing::Lost);
                return Ok(());
            }
        }
        self.standing.send_replace(Standing::Lost);
        self.release().await
    }

    /// Returns once the lock is lost.
    async fn renew_on(&self, sent: Instant) {
        let ttl = self.request.ttl;
        let (mut next, mut end) = (sent + ttl / 3, sent + ttl);
        loop {
            tokio::time::sleep_until(next).await;
            let now = Instant::now();
            if now >= end {
                return;
            }
            match self.renew(end - now).await {
                Ok(()) => (next, end) = (now + ttl / 3, now + ttl),
                Err(Error::Precondition { .. } | Error::LeaseGone { .. }) => return,
                Err(error) => {
                    tracing::debug!(%error, lock = self.request.name, "a lock could not be renewed");
                    next = end.min(Instant::now() + ttl / AGAIN);
                }
            }
        }
    }

    /// Renews once; it may take what is left of the lock's time.
    pub(super) async fn renew(&self, left: Duration) -> Result<(), Error> {
        let request = pb::RenewLockRequest {
            namespace: self.request.namespace.clone(),
            partition: self.request.partition.clone(),
            name: self.request.name.clone(),
            fence: self.fence,
        };
        let sent = Instant::now();
        let limits = Limits { attempt: left.min(self.request.ttl / 3), whole: left, patience: left };
        self.state
            .caller
            .call(limits, || {
                let (request, mut client) = (request.clone(), self.state.client.clone());
                async move { client.renew_lock(request).await }
            })
            .await?;
        // It counts from before it was sent.
        self.standing.send_replace(Standing::Until(sent + self.request.ttl));
        Ok(())
    }

    async fn release(&self) -> Result<(), Error> {
        let request = pb::ReleaseLockRequest {
            namespace: self.request.namespace.clone(),
            partition: self.request.partition.clone(),
            name: self.request.name.clone(),
            fence: self.fence,
        };
        let limits = Limits { attempt: RELEASE, whole: RELEASE, patience: RELEASE };
        self.state
            .caller
            .call(limits, || {
                let (request, mut client) = (request.clone(), self.state.client.clone());
                async move { client.release_lock(request).await }
            })
            .await
            .map(drop)
    }
}
