//! A lease as its holder sees it.

use std::time::Duration;

use holdfast_proto::queue::v1 as pb;
use holdfast_rpc::time;
use holdfast_telemetry::traceparent;
use tokio::{sync::watch, time::Instant};

use crate::Error;

/// Whether a lease still counts, by this process's monotonic clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Until then; renewing moves it on.
    Until(Instant),
    /// Not any more, and never again.
    Gone(String),
}

/// A lease in the hands of a worker. Shared by the handler, which asks it before each new piece of work, and by the
/// desk, which renews it.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) token: String,
    pub(crate) invocation: pb::Invocation,
    pub(crate) traceparent: String,
    /// Rises with each lease of the invocation.
    pub(crate) fence: u64,
    /// Whether somebody had the invocation before, and may have recorded something.
    pub(crate) has_predecessors: bool,
    /// The invocation's own deadline.
    pub(crate) deadline: Option<Instant>,
    standing: watch::Sender<Standing>,
}

impl Held {
    /// Takes a lease that came just now. `wall` is the time of day as a span since 1970: the invocation's deadline is
    /// a time of day, and from here on only the monotonic clock counts.
    pub(crate) fn new(lease: pb::Lease, now: Instant, wall: Duration) -> Self {
        let ttl = lease.ttl.as_ref().and_then(time::span).unwrap_or_default();
        let invocation = lease.invocation.unwrap_or_default();
        let ends = invocation.spec.as_ref().and_then(|spec| spec.deadline.as_ref());
        let deadline = ends.map(|at| {
            let at = Duration::new(u64::try_from(at.seconds).unwrap_or(0), u32::try_from(at.nanos).unwrap_or(0));
            now + at.saturating_sub(wall)
        });
        Self {
            token: lease.token,
            fence: lease.fence,
            has_predecessors: lease.earlier_leases > 0,
            invocation,
            // One that was submitted without a trace has one from here on.
            traceparent: Some(lease.traceparent).filter(|text| !text.is_empty()).unwrap_or_else(traceparent::mint),
            deadline,
            standing: watch::Sender::new(Standing::Until(now + ttl)),
        }
    }

    /// Returns once new work may start: at once while the lease counts, after its renewal where it could not be
    /// renewed in time.
    ///
    /// # Errors
    /// [`Error::LeaseGone`] once it can never count again.
    pub(crate) async fn counts(&self) -> Result<(), Error> {
        let mut standing = self.standing.subscribe();
        loop {
            match &*standing.borrow_and_update() {
                Standing::Gone(reason) => return Err(Error::LeaseGone { reason: reason.clone() }),
                Standing::Until(end) if Instant::now() < *end => return Ok(()),
                Standing::Until(_) => {}
            }
            // The sender is in self: it cannot be gone.
            let _ = standing.changed().await;
        }
    }

    /// Returns once the lease is gone, with the reason.
    pub(crate) async fn gone(&self) -> String {
        let mut standing = self.standing.subscribe();
        let gone = standing.wait_for(|standing| matches!(standing, Standing::Gone(_))).await;
        match gone.as_deref() {
            Ok(Standing::Gone(reason)) => reason.clone(),
            _ => unreachable!("the sender is in self, and was waited for"),
        }
    }

    #[cfg(test)]
    pub(crate) fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }

    pub(crate) fn is_gone(&self) -> bool {
        matches!(*self.standing.borrow(), Standing::Gone(_))
    }

    pub(crate) fn renew(&self, end: Instant) {
        self.standing.send_if_modified(|standing| match standing {
            Standing::Until(old) if *old < end => {
                *old = end;
                true
            }
            _ => false,
        });
    }

    pub(crate) fn lose(&self, reason: &str) {
        self.standing.send_if_modified(|standing| match standing {
            Standing::Until(_) => {
                *standing = Standing::Gone(reason.to_owned());
                true
            }
            Standing::Gone(_) => false,
        });
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn held(now: Instant, ttl: i64) -> Held {
        let lease = pb::Lease {
            ttl: Some(prost_types::Duration { seconds: ttl, nanos: 0 }),
            invocation: Some(pb::Invocation {
                spec: Some(pb::InvocationSpec {
                    deadline: Some(prost_types::Timestamp { seconds: 1_030, nanos: 0 }),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            ..Default::default()
        };
        Held::new(lease, now, Duration::from_secs(1_000))
    }

    #[tokio::test]
    async fn new_work_waits_for_a_renewal_that_is_late() {
        let held = held(Instant::now(), 0);
        let mut waiting = Box::pin(held.counts());
        assert!((&mut waiting).now_or_never().is_none(), "a lease that could not be renewed starts no new work");

        held.renew(Instant::now() + Duration::from_secs(10));
        waiting.await.expect("a renewed lease counts again");
    }

    #[tokio::test]
    async fn a_lease_that_is_gone_never_returns() {
        let held = held(Instant::now(), 10);
        held.counts().await.expect("a fresh lease counts");
        held.lose("CANCELLED");
        held.renew(Instant::now() + Duration::from_secs(10));
        held.lose("LEASE_LOST");
        assert_eq!(held.gone().await, "CANCELLED", "the first reason stays");
        assert!(held.counts().await.is_err());
    }

    #[test]
    fn the_invocations_deadline_is_told_by_the_monotonic_clock() {
        let now = Instant::now();
        assert_eq!(held(now, 10).deadline, Some(now + Duration::from_secs(30)));
    }
}
