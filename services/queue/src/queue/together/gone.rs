//! Which processes are gone: those that say so, and those whose beat was seen unchanged for long.
//!
//! Time is this process's own monotonic clock, and only time in which it looked counts: whoever was paused itself has seen
//! nobody be silent.

use std::collections::HashMap;
use std::time::Duration;

use crate::domain::time::Moment;
use crate::store::{Member, WriterId};

/// A process whose beat is unchanged for so long is dead.
const SILENCE_MAX: Duration = Duration::from_secs(3);
/// What one look adds at most, however long ago the last one was.
const LOOK_MAX: Duration = Duration::from_secs(1);

/// What was seen of the others.
#[derive(Debug, Default)]
pub(super) struct Gone {
    looked: Option<Moment>,
    beats: HashMap<WriterId, (i64, Duration)>,
}

impl Gone {
    /// Looks at who is there; the others that are gone.
    pub(super) fn look(&mut self, me: WriterId, members: &[Member], now: Moment) -> Vec<WriterId> {
        let passed = self.looked.map_or(Duration::ZERO, |looked| now.since(looked).min(LOOK_MAX));
        self.looked = Some(now);
        let before = std::mem::take(&mut self.beats);
        let mut gone = Vec::new();
        for member in members.iter().filter(|member| member.writer != me) {
            let silent = match before.get(&member.writer) {
                Some((beat, silent)) if *beat == member.beat => *silent + passed,
                _ => Duration::ZERO,
            };
            self.beats.insert(member.writer, (member.beat, silent));
            if member.left || silent >= SILENCE_MAX {
                gone.push(member.writer);
            }
        }
        gone
    }

    /// Nobody could be seen: whoever is seen next may just not have been able to show itself either, and gets the whole time.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(writer: WriterId, beat: i64) -> Member {
        Member { writer, beat, drain_rate: 0.0, last_rank: 0, left: false }
    }

    fn at(ms: u64) -> Moment {
        Moment(ms * 1_000)
    }

    #[test]
    fn who_does_not_beat_for_three_seconds_is_gone() {
        let mut gone = Gone::default();
        for look in 0..6 {
            assert!(gone.look(1, &[member(1, 0), member(2, 7)], at(look * 500)).is_empty());
        }
        assert_eq!(gone.look(1, &[member(1, 0), member(2, 7)], at(3_000)), [2], "itself it does not judge");
    }

    #[test]
    fn a_beat_begins_the_time_anew() {
        let mut gone = Gone::default();
        for look in 0..100 {
            let beat = (look / 5) as i64;
            assert!(gone.look(1, &[member(2, beat)], at(look * 500)).is_empty());
        }
    }

    #[test]
    fn who_was_paused_itself_has_seen_nobody_be_silent() {
        let mut gone = Gone::default();
        gone.look(1, &[member(2, 7)], at(0));
        assert!(gone.look(1, &[member(2, 7)], at(3_600_000)).is_empty(), "everything may have been paused");
        assert!(gone.look(1, &[member(2, 7)], at(3_600_500)).is_empty());
        assert!(gone.look(1, &[member(2, 8)], at(3_601_000)).is_empty(), "it beats again");
    }

    #[test]
    fn what_was_seen_before_the_store_failed_says_nothing_after_it() {
        let mut gone = Gone::default();
        for look in 0..6 {
            gone.look(1, &[member(2, 7)], at(look * 500));
        }
        gone.forget();
        for look in 0..6 {
            assert!(
                gone.look(1, &[member(2, 7)], at(60_000 + look * 500)).is_empty(),
                "its own circuit may close later"
            );
        }
        assert_eq!(gone.look(1, &[member(2, 7)], at(63_000)), [2]);
    }

    #[test]
    fn who_says_that_it_leaves_is_gone_at_once() {
        let leaving = Member { left: true, ..member(2, 7) };
        assert_eq!(Gone::default().look(1, &[leaving], at(0)), [2]);
    }
}
