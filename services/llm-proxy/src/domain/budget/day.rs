use std::time::Duration;

const MICROS: i64 = 24 * 3_600 * 1_000_000;

/// A day of the wall clock (UTC), counted from 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Day(u32);

impl Day {
    /// The one day of what goes by no days.
    pub(crate) const ALWAYS: Self = Self(0);

    /// The day of a time in microseconds since 1970.
    pub(crate) fn of(micros: i64) -> Self {
        Self(u32::try_from(micros.max(0) / MICROS).unwrap_or(u32::MAX))
    }

    /// Counted from 1970.
    pub(crate) fn number(self) -> u32 {
        self.0
    }

    /// How long it lasts from a time on. A clock that was set back makes it long, and never endless.
    pub(crate) fn left(self, micros: i64) -> Duration {
        let end = (i64::from(self.0) + 1) * MICROS;
        Duration::from_micros(u64::try_from(end - micros).unwrap_or(0))
    }
}
