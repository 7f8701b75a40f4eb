//! When a place that does not answer counts as gone.
//!
//! Where others reach it, the fault lies between it and this process: they begin an epoch there again, and this process would
//! end each of them. So it waits longer with each that it has ended, until the place has answered for as long.

use std::time::Duration;

use crate::domain::EpochId;

/// The most often that the wait is doubled.
const DOUBLED_MAX: u32 = 7;

/// What one process has seen of a place that does not answer.
#[derive(Debug, Default)]
pub struct Absence {
    /// Since when it does not answer, in which epoch.
    since: Option<(EpochId, Duration)>,
    /// Since when it answers.
    back: Option<Duration>,
    /// The epoch that was ended here last for it, and how many since the place was well.
    ended: (Option<EpochId>, u32),
}

impl Absence {
    /// It has answered.
    pub fn answered(&mut self, now: Duration, gone_after: Duration) {
        self.since = None;
        let back = *self.back.get_or_insert(now);
        if now.saturating_sub(back) >= self.patience(gone_after) {
            self.ended.1 = 0;
        }
    }

    /// It has not; whether the epoch has to end.
    pub fn missed(&mut self, epoch: EpochId, now: Duration, gone_after: Duration) -> bool {
        self.back = None;
        if self.ended.0 == Some(epoch) {
            return true;
        }
        let since = match self.since {
            Some((known, since)) if known == epoch => since,
            _ => now,
        };
        self.since = Some((epoch, since));
        let gone = now.saturating_sub(since) >= self.patience(gone_after);
        if gone {
            self.ended = (Some(epoch), self.ended.1 + 1);
        }
        gone
    }

    fn patience(&self, gone_after: Duration) -> Duration {
        gone_after * (1 << self.ended.1.min(DOUBLED_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GONE_AFTER: Duration = Duration::from_secs(3);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn who_alone_does_not_reach_a_place_ends_its_epochs_ever_more_seldom() {
        let mut absence = Absence::default();
        assert!(!absence.missed(EpochId(1), at(0), GONE_AFTER) && !absence.missed(EpochId(1), at(2), GONE_AFTER));
        assert!(absence.missed(EpochId(1), at(3), GONE_AFTER) && absence.missed(EpochId(1), at(4), GONE_AFTER));
        assert!(!absence.missed(EpochId(2), at(10), GONE_AFTER) && !absence.missed(EpochId(2), at(15), GONE_AFTER));
        assert!(absence.missed(EpochId(2), at(16), GONE_AFTER));
        assert!(!absence.missed(EpochId(3), at(20), GONE_AFTER) && !absence.missed(EpochId(3), at(31), GONE_AFTER));
        assert!(absence.missed(EpochId(3), at(32), GONE_AFTER));
    }

    #[test]
    fn a_place_that_answers_for_as_long_is_given_up_as_fast_as_ever() {
        let mut absence = Absence::default();
        assert!(!absence.missed(EpochId(1), at(0), GONE_AFTER) && absence.missed(EpochId(1), at(3), GONE_AFTER));
        (10..=16).for_each(|second| absence.answered(at(second), GONE_AFTER));
        assert!(!absence.missed(EpochId(2), at(17), GONE_AFTER) && absence.missed(EpochId(2), at(20), GONE_AFTER));
    }
}
