//! Two kinds of time: wall time for records, monotonic time for everything that is measured.

use std::time::Duration;

/// Wall time in microseconds since 1970: what records say.
pub type Micros = i64;

/// Monotonic time in microseconds since the process began: leases, delays and limits go by it, so that a clock that
/// jumps breaks no promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Moment(pub u64);

impl Moment {
    /// This long afterwards.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_micros()).unwrap_or(u64::MAX)))
    }

    /// How long ago `earlier` was; nothing when it is still to come.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// Both times of one instant: what a decision needs to place a record's time on the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Wall time.
    pub wall: Micros,
    /// Monotonic time.
    pub moment: Moment,
}

impl Now {
    /// When the monotonic clock will show a wall time, as things stand now. Times past are now.
    #[must_use]
    pub fn moment_of(self, wall: Micros) -> Moment {
        let ahead = u64::try_from(wall.saturating_sub(self.wall)).unwrap_or(0);
        Moment(self.moment.0.saturating_add(ahead))
    }

    /// When the monotonic clock showed a wall time, as far as it goes back.
    #[must_use]
    pub fn moment_before(self, wall: Micros) -> Moment {
        let behind = u64::try_from(self.wall.saturating_sub(wall)).unwrap_or(0);
        Moment(self.moment.0.saturating_sub(behind))
    }
}
