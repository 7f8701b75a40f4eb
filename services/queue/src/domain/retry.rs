//! How failed attempts are repeated.

use std::time::Duration;

use holdfast_resilience::Backoff;

use super::invocation::Failure;
use super::time::Micros;

/// An invocation's own policy, every default filled in when it was accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryPolicy {
    /// Attempts in all, the first included.
    pub attempts_max: u32,
    /// The bounds of the delays.
    pub backoff: Backoff,
    /// Failure reasons that end the invocation at once.
    pub final_reasons: Vec<String>,
}

/// What a failed attempt leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Another try from this time on.
    Again {
        /// When it may begin.
        at: Micros,
    },
    /// Another try would fail alike.
    Failed,
    /// Every try that the policy allows has been made.
    Dead,
}

impl RetryPolicy {
    /// What follows the failure of an attempt (counted from 1). `jitter`, evenly drawn from 0 to 1, is the part of the
    /// delay's bound that is waited: full jitter.
    #[must_use]
    pub fn after(&self, attempt: u32, failure: &Failure, jitter: f64, now: Micros) -> Verdict {
        if !failure.retryable || self.final_reasons.contains(&failure.reason) {
            Verdict::Failed
        } else if attempt >= self.attempts_max {
            Verdict::Dead
        } else {
            let delay: Duration = self.backoff.bound(attempt).mul_f64(jitter.clamp(0.0, 1.0));
            Verdict::Again { at: now.saturating_add(i64::try_from(delay.as_micros()).unwrap_or(i64::MAX)) }
        }
    }
}

/// Leases of an invocation that may be handed back one after another before it waits: a worker that takes and hands back
/// must not keep the queue busy.
pub const FREE_RELEASES: usize = 10;
/// How long it waits then, and twice as long after each further one: each stays in its history, which every claim reads.
const RELEASE_PAUSE: Duration = Duration::from_secs(1);
/// The longest such wait.
const RELEASE_PAUSE_MAX: Duration = Duration::from_secs(60);
/// How many of those handed back one after another make a difference.
pub const RELEASES_COUNTED: usize = FREE_RELEASES + 6;

/// When an invocation may be leased again that is handed back, after so many that were handed back just before.
#[must_use]
pub fn after_release(before: usize, now: Micros) -> Option<Micros> {
    let further = before.min(RELEASES_COUNTED).checked_sub(FREE_RELEASES)?;
    let pause = (RELEASE_PAUSE * (1 << further)).min(RELEASE_PAUSE_MAX);
    Some(now.saturating_add(pause.as_micros() as Micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> RetryPolicy {
        RetryPolicy {
            attempts_max: 3,
            backoff: Backoff::doubling(Duration::from_secs(1), Duration::from_secs(60)),
            final_reasons: vec!["BAD_INPUT".into()],
        }
    }

    fn failure(reason: &str, retryable: bool) -> Failure {
        Failure { reason: reason.into(), message: String::new(), retryable }
    }

    #[test]
    fn a_failure_is_repeated_until_the_attempts_are_used_up() {
        let busy = failure("BUSY", true);
        assert_eq!(policy().after(1, &busy, 1.0, 0), Verdict::Again { at: 1_000_000 });
        assert_eq!(policy().after(2, &busy, 1.0, 0), Verdict::Again { at: 2_000_000 });
        assert_eq!(policy().after(3, &busy, 1.0, 0), Verdict::Dead);
    }

    #[test]
    fn jitter_is_full() {
        let busy = failure("BUSY", true);
        assert_eq!(policy().after(1, &busy, 0.0, 7), Verdict::Again { at: 7 });
        assert_eq!(policy().after(1, &busy, 0.25, 0), Verdict::Again { at: 250_000 });
    }

    #[test]
    fn who_hands_back_again_and_again_waits_longer_and_longer() {
        let waits = |before| after_release(before, 0).map(|at| at / 1_000_000);
        assert_eq!([9, 10, 11, 15, 16, 1_000].map(waits), [None, Some(1), Some(2), Some(32), Some(60), Some(60)]);
    }

    #[test]
    fn a_failure_that_repetition_cannot_mend_ends_it() {
        assert_eq!(policy().after(1, &failure("BUSY", false), 1.0, 0), Verdict::Failed);
        assert_eq!(policy().after(1, &failure("BAD_INPUT", true), 1.0, 0), Verdict::Failed);
    }
}
