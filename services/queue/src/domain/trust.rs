//! Wall time as far as it is believed when something is to be removed for its age.

use std::time::Duration;

use super::time::{Micros, Moment, Now};

/// How far behind the last thing that happened a start may be and be believed at once: longer downtimes are made up for
/// slowly.
const GAP_MAX: Duration = Duration::from_secs(24 * 3_600);
/// So much faster than time goes, at most.
const HASTE: u32 = 2;

/// A clock for ages. It is never ahead of the wall clock, and goes no more than twice as fast as time: a wall clock that
/// jumps ahead does not make everything old at once, and one that jumps back and forth does no harm.
#[derive(Debug, Clone, Copy)]
pub struct TrustedClock {
    at: Micros,
    moment: Moment,
}

impl TrustedClock {
    /// Begins not far from the last thing that is known to have happened.
    #[must_use]
    pub fn start(newest: Option<Micros>, now: Now) -> Self {
        let believed = newest.map_or(now.wall, |newest| newest.saturating_add(micros(GAP_MAX)));
        Self { at: believed.min(now.wall), moment: now.moment }
    }

    /// The time to compare ages with.
    pub fn read(&mut self, now: Now) -> Micros {
        let passed = now.moment.since(self.moment).saturating_mul(HASTE);
        self.moment = now.moment;
        self.at = self.at.max(now.wall.min(self.at.saturating_add(micros(passed))));
        self.at.min(now.wall)
    }

    /// How far the wall clock is ahead of what is believed.
    #[must_use]
    pub fn behind(&self, now: Now) -> Duration {
        Duration::from_micros(u64::try_from(now.wall.saturating_sub(self.at)).unwrap_or(0))
    }
}

fn micros(span: Duration) -> Micros {
    Micros::try_from(span.as_micros()).unwrap_or(Micros::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Micros = 3_600_000_000;
    const YEAR: Micros = 365 * 24 * HOUR;
    const T0: Micros = 50 * YEAR;

    fn now(wall: Micros, passed: Micros) -> Now {
        Now { wall, moment: Moment(passed as u64) }
    }

    #[test]
    fn it_goes_with_a_wall_clock_that_goes_well() {
        let mut clock = TrustedClock::start(Some(T0 - HOUR), now(T0, 0));
        assert_eq!(clock.read(now(T0, 0)), T0);
        assert_eq!(clock.read(now(T0 + HOUR, HOUR)), T0 + HOUR);
        assert_eq!(TrustedClock::start(None, now(T0, 0)).read(now(T0, 0)), T0, "an empty store has nothing to lose");
    }

    #[test]
    fn a_jump_ahead_makes_nothing_old_at_once() {
        let mut clock = TrustedClock::start(Some(T0), now(T0, 0));
        assert_eq!(clock.read(now(T0 + YEAR, HOUR)), T0 + 2 * HOUR);
        assert!(clock.behind(now(T0 + YEAR, HOUR)) > Duration::from_secs(300 * 24 * 3_600));
        assert_eq!(clock.read(now(T0 + 2 * HOUR, 2 * HOUR)), T0 + 2 * HOUR, "it is well again");
    }

    #[test]
    fn a_start_far_from_the_last_thing_that_happened_is_not_believed_at_once() {
        let mut clock = TrustedClock::start(Some(T0 - YEAR), now(T0, 0));
        assert_eq!(clock.read(now(T0, 0)), T0 - YEAR + 24 * HOUR);
        assert_eq!(clock.read(now(T0 + HOUR, HOUR)), T0 - YEAR + 26 * HOUR, "it is made up for");
    }

    #[test]
    fn a_jump_back_is_followed_and_forgotten() {
        let mut clock = TrustedClock::start(Some(T0), now(T0, 0));
        assert_eq!(clock.read(now(T0 - YEAR, HOUR)), T0 - YEAR);
        assert_eq!(clock.read(now(T0 + 2 * HOUR, 2 * HOUR)), T0 + 2 * HOUR);
    }
}
