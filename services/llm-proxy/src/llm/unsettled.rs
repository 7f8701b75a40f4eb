//! What follows from an answer for limits, budgets and what is learned: after the reply, which need not wait for it, and before
//! whatever is decided next, which must not find it undone.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{
    accounts::Charge,
    domain::{Estimate, Usage},
    gate::Place,
    model::Deployment,
};

/// A call that is answered. Dropped, it counts as given up.
pub(super) struct Settlement {
    pub(super) place: Place,
    pub(super) estimate: Estimate,
    pub(super) charge: Option<Charge>,
    pub(super) deployment: Arc<Deployment>,
    pub(super) took: Duration,
    pub(super) used: Option<Usage>,
}

impl Settlement {
    pub(super) fn settle(self) {
        let Self { mut place, estimate, charge, deployment, took, used } = self;
        if let Some(used) = used {
            deployment.estimator.observe(&estimate, used);
            deployment.estimates.was(estimate.need, used);
        }
        if let Some(charge) = charge {
            charge.settle(used, (&deployment.house.name, place.key()));
        }
        place.taken();
        place.finish(used);
        deployment.calls.answered(took);
    }
}

/// The calls that are answered and not settled.
#[derive(Default)]
pub(super) struct Unsettled {
    answered: Mutex<VecDeque<Settlement>>,
    added: Notify,
}

impl Unsettled {
    /// One more.
    pub(super) fn add(&self, settlement: Settlement) {
        self.answered.lock().push_back(settlement);
        self.added.notify_one();
    }

    /// Settles all of them.
    pub(super) fn settle(&self) {
        while let Some(settlement) = self.next() {
            settlement.settle();
        }
    }

    /// Taken out first: what is settled wakes others, and the lock is not held then.
    fn next(&self) -> Option<Settlement> {
        self.answered.lock().pop_front()
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
