//! Where time enters.

use holdfast_rpc::time::now_micros;
use tokio::time::Instant;

use crate::domain::time::{Moment, Now};

/// Wall and monotonic time of this process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { origin: Instant::now() }
    }

    pub(crate) fn now(self) -> Now {
        Now { wall: now_micros(), moment: Moment(self.origin.elapsed().as_micros() as u64) }
    }

    /// For the runtime's timers.
    pub(crate) fn instant(self, moment: Moment) -> Instant {
        self.origin + std::time::Duration::from_micros(moment.0)
    }
}
