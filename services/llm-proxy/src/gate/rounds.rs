//! The gate as the duty sees it that shares its limits with other processes.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until};

use super::{Gate, Shared, State};
use crate::domain::Pool;

/// What the ledger is told of a gate, and tells it.
#[derive(Debug)]
pub(crate) struct Rounds(Arc<Shared>);

impl Gate {
    pub(crate) fn rounds(&self) -> Rounds {
        Rounds(Arc::clone(&self.shared))
    }
}

impl Rounds {
    pub(crate) fn now(&self) -> Duration {
        self.0.clock.now()
    }

    /// Looks at the limits, or changes them; whose turn it is then starts.
    pub(crate) fn step<T>(&self, event: impl FnOnce(&mut Pool, Duration) -> T) -> T {
        self.0.step(event)
    }

    /// Waits until there is something to say, and no longer than until then.
    pub(crate) async fn due(&self, latest: Instant) {
        loop {
            let rung = self.0.untold.notified();
            let due = self.0.state.lock().next_round.map(|due| self.0.clock.instant(due));
            let until = due.map_or(latest, |due| due.min(latest));
            if until <= Instant::now() {
                return;
            }
            tokio::select! {
                () = sleep_until(until) => return,
                () = rung => {}
            }
        }
    }
}

impl Shared {
    /// After an event: what those in line need now, and when that is to be said.
    pub(super) fn plan_round(&self, state: &mut State, now: Duration) {
        let due = state.pool.shares_due(now);
        let sooner = due.is_some_and(|due| state.next_round.is_none_or(|next| due < next));
        state.next_round = due;
        if sooner {
            self.untold.notify_one();
        }
    }
}
