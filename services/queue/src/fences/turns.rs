//! When each fence that could not be raised has its next turn.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// Fences whose failures are remembered. The others are tried in every round.
const REMEMBERED_MAX: usize = 10_000;

/// What failed, how often, and when it comes again.
#[derive(Debug, Default)]
pub(super) struct Turns {
    later: HashMap<i64, (u32, Instant)>,
}

impl Turns {
    pub(super) fn is_due(&self, raise: i64, now: Instant) -> bool {
        self.later.get(&raise).is_none_or(|(_, at)| *at <= now)
    }

    /// Somebody else sees to it, unless it is still there then. Only what was not met before is left to others.
    pub(super) fn leave_to_others(&mut self, raise: i64, until: Instant) {
        if self.later.len() < REMEMBERED_MAX {
            self.later.entry(raise).or_insert((0, until));
        }
    }

    /// Everything that is there was met since then: what had its turn before and was not met is gone.
    pub(super) fn met_all_since(&mut self, began: Instant) {
        self.later.retain(|_, (_, at)| *at > began);
    }

    /// It failed: for the how many'th time, `delay` is told.
    pub(super) fn failed(&mut self, raise: i64, now: Instant, delay: impl FnOnce(u32) -> Duration) {
        let failed = self.later.get(&raise).map_or(0, |(failed, _)| *failed).saturating_add(1);
        if failed > 1 || self.later.len() < REMEMBERED_MAX {
            self.later.insert(raise, (failed, now + delay(failed)));
        }
    }

    pub(super) fn done(&mut self, raises: &[i64]) {
        for raise in raises {
            self.later.remove(raise);
        }
    }

    /// When the next one comes again.
    pub(super) fn next(&self) -> Option<Instant> {
        self.later.values().map(|(_, at)| *at).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_passed_over_until_its_turn() {
        let now = Instant::now();
        let mut turns = Turns::default();
        turns.failed(1, now, |failed| Duration::from_secs(u64::from(failed)));
        turns.failed(1, now, |failed| Duration::from_secs(u64::from(failed)));
        assert!(!turns.is_due(1, now + Duration::from_millis(1_999)), "the second time takes longer");
        assert!(turns.is_due(1, now + Duration::from_secs(2)));
        assert!(turns.is_due(2, now), "another one is not held up");
        turns.done(&[1]);
        assert_eq!(turns.next(), None);
    }

    #[test]
    fn what_others_see_to_is_taken_up_if_they_do_not() {
        let (now, later) = (Instant::now(), Instant::now() + Duration::from_secs(3));
        let mut turns = Turns::default();
        turns.leave_to_others(1, later);
        assert!(!turns.is_due(1, now));
        turns.leave_to_others(1, later + Duration::from_secs(9));
        assert!(turns.is_due(1, later), "it is left to them once");
        turns.met_all_since(later);
        assert_eq!(turns.next(), None, "they did it");
    }
}
