//! How far one invocation may go. Counted over all attempts, from what they recorded.

use std::time::Duration;

use holdfast_sdk::{Failure, Usage};
use tokio::time::Instant;

/// Time at work: this attempt's, and what earlier ones recorded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    began: Instant,
    before: Duration,
}

impl Clock {
    pub(crate) fn start(now: Instant) -> Self {
        Self { began: now, before: Duration::ZERO }
    }

    /// A step says how much time had been spent by its end. One that an earlier attempt recorded brings its time along;
    /// one of this attempt says nothing new.
    pub(crate) fn catch_up(&mut self, elapsed_ms: u64, now: Instant) {
        let recorded = Duration::from_millis(elapsed_ms);
        self.before = self.before.max(recorded.saturating_sub(now - self.began));
    }

    pub(crate) fn elapsed_ms(&self, now: Instant) -> u64 {
        u64::try_from((self.before + (now - self.began)).as_millis()).unwrap_or(u64::MAX)
    }

    /// When the limit is reached.
    pub(crate) fn end(&self, time_max: Duration) -> Instant {
        self.began + time_max.saturating_sub(self.before)
    }
}

/// Before each step: may it begin?
pub(crate) fn check(step: u32, steps_max: u32, used: Usage, tokens_max: u64) -> Result<(), Failure> {
    if step > steps_max {
        return Err(Failure::fatal("STEP_LIMIT", format!("no answer after {steps_max} steps (steps_max)")));
    }
    if used.total() >= tokens_max {
        let message = format!("{} tokens used, and {tokens_max} allowed (tokens_max)", used.total());
        return Err(Failure::fatal("TOKEN_LIMIT", message));
    }
    Ok(())
}

pub(crate) fn out_of_time(time_max: Duration) -> Failure {
    Failure::fatal("TIME_LIMIT", format!("no answer after {time_max:?} at work (time_max)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Duration = Duration::from_secs(10);

    #[test]
    fn time_of_earlier_attempts_counts() {
        let now = Instant::now();
        let mut clock = Clock::start(now);
        clock.catch_up(7_000, now);
        assert_eq!(clock.end(TEN), now + Duration::from_secs(3));
        assert_eq!(clock.elapsed_ms(now + Duration::from_secs(1)), 8_000);
    }

    #[test]
    fn time_of_this_attempt_counts_once() {
        let now = Instant::now();
        let mut clock = Clock::start(now);
        let later = now + Duration::from_secs(4);
        clock.catch_up(clock.elapsed_ms(later), later + Duration::from_millis(20));
        assert_eq!(clock.end(TEN), now + TEN);
    }

    #[test]
    fn a_limit_that_is_reached_ends_the_invocation() {
        let used = Usage { input_tokens: 60, output_tokens: 40 };
        assert!(check(3, 3, used, 101).is_ok());
        for (failure, reason) in [(check(4, 3, used, 101), "STEP_LIMIT"), (check(1, 3, used, 100), "TOKEN_LIMIT")] {
            let failure = failure.expect_err("reached");
            assert_eq!((failure.reason.as_str(), failure.retryable), (reason, false));
        }
    }
}
