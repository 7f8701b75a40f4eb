//! What follows from an answer for limits, budgets and what is learned: after the reply, which need not wait for it, and before
//! whatever is decided next, which must not find it undone.

use std::{mem, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::flight::Flight;
use crate::domain::Usage;

/// A call that is answered. Dropped, it counts as given up.
pub(super) struct Settlement {
    pub(super) flight: Flight,
    pub(super) took: Duration,
    pub(super) used: Option<Usage>,
}

impl Settlement {
    pub(super) fn settle(self) {
        let Self { flight: Flight { place, permit, estimate, charge, deployment, .. }, took, used } = self;
        permit.success();
        if let Some(used) = used {
            deployment.estimator.observe(&estimate, used);
            deployment.estimates.was(estimate.need, used);
        }
        if let Some(charge) = charge {
            charge.settle(used, (&deployment.house.name, place.key()));
        }
        place.finish(used);
        deployment.calls.answered(took);
    }
}

/// The calls that are answered and not settled.
#[derive(Default)]
pub(super) struct Unsettled {
    answered: Mutex<Vec<Settlement>>,
    added: Notify,
}

impl Unsettled {
    /// One more. What its circuit waits for is settled at once.
    pub(super) fn add(&self, settlement: Settlement) {
        if settlement.flight.is_probe() {
            return settlement.settle();
        }
        self.answered.lock().push(settlement);
        self.added.notify_one();
    }

    /// Settles all of them.
    pub(super) fn settle(&self) {
        // Each may wake others: not under the lock.
        let answered = mem::take(&mut *self.answered.lock());
        answered.into_iter().for_each(Settlement::settle);
    }

    /// Settles them as they come, until it is dropped.
    pub(super) async fn run(self: Arc<Self>) {
        loop {
            self.added.notified().await;
            // What is ready goes first, and among it whoever writes the reply.
            tokio::task::yield_now().await;
            self.settle();
        }
    }
}

impl std::fmt::Debug for Unsettled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Unsettled").field(&self.answered.lock().len()).finish()
    }
}
