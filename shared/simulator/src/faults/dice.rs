//! What happens to one call, by the dice.

use std::time::{Duration, Instant};

use holdfast_config::Span;
use rand::{RngExt, SeedableRng, rngs::SmallRng};

use super::Faults;

/// What happens to one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fate {
    /// Time before the first byte.
    pub(crate) latency: Duration,
    /// Time for each token.
    pub(crate) per_token: Duration,
    /// Whether it hangs: for that time, or for ever.
    pub(crate) hangs: bool,
    /// How it ends.
    pub(crate) end: End,
}

/// How a call ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// With its answer.
    Answer,
    /// With an error of this status and code, and the seconds to wait where they are told.
    Error { status: u16, code: Option<String>, retry_after: Option<u64> },
    /// Not at all, and nothing is done.
    Hang,
    /// Not at all, though it is done.
    Mute,
    /// With a part of its answer: so many pieces of a stream, which says so or does not.
    Disconnect { after: usize, says: bool },
}

/// Faults as they stand, and the dice.
#[derive(Debug)]
pub(crate) struct Dice {
    faults: Faults,
    /// When they were set: from then on they come and go.
    since: Instant,
    rng: SmallRng,
}

impl Dice {
    pub(crate) fn new(faults: Faults, seed: u64) -> Self {
        Self { faults, since: Instant::now(), rng: SmallRng::seed_from_u64(seed) }
    }

    pub(crate) fn set(&mut self, faults: Faults) {
        self.faults = faults;
        self.since = Instant::now();
    }

    pub(crate) fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The fate of a call that comes now, or nothing where no fault is planned.
    pub(crate) fn throw(&mut self, now: Instant) -> Option<Fate> {
        if self.faults.flap.is_some_and(|flap| !flap.is_ill(now.saturating_duration_since(self.since))) {
            return None;
        }
        match self.faults.times {
            Some(0) => return None,
            Some(times) => self.faults.times = Some(times - 1),
            None if self.faults == (Faults { hint: self.faults.hint, ..Faults::default() }) => return None,
            None => {}
        }
        let hangs = self.hits(self.faults.hang_rate);
        let end = if hangs && self.faults.hang_for.is_none() {
            End::Hang
        } else if self.hits(self.faults.error_rate) {
            let Faults { error_status: status, error_retry_after: retry_after, .. } = self.faults;
            End::Error { status, code: self.faults.error_code.clone(), retry_after }
        } else if self.hits(self.faults.mute_rate) {
            End::Mute
        } else if self.hits(self.faults.disconnect_rate) {
            End::Disconnect { after: self.faults.disconnect_after, says: self.faults.disconnect_error }
        } else {
            End::Answer
        };
        let span = |happens: bool, span: Option<Span>| span.filter(|_| happens).map_or(Duration::ZERO, |span| *span);
        let slow = self.hits(self.faults.slow_rate);
        let extra = span(slow, Some(self.faults.slow_by)) + span(hangs, self.faults.hang_for);
        Some(Fate { latency: *self.faults.latency + extra, per_token: *self.faults.per_token, hangs, end })
    }

    fn hits(&mut self, rate: f64) -> bool {
        rate > 0.0 && self.rng.random::<f64>() < rate
    }
}

impl Fate {
    /// Of a call that nothing happens to.
    pub(crate) const UNDISTURBED: Self =
        Self { latency: Duration::ZERO, per_token: Duration::ZERO, hangs: false, end: End::Answer };
}

#[cfg(test)]
mod tests {
    use super::super::Flap;
    use super::*;

    fn end(dice: &mut Dice, after: Duration) -> Option<End> {
        let now = dice.since + after;
        dice.throw(now).map(|fate| fate.end)
    }

    #[test]
    fn faults_last_as_many_calls_as_they_say() {
        let mut dice = Dice::new(Faults { error_rate: 1.0, times: Some(2), ..Faults::default() }, 0);
        let error = End::Error { status: 500, code: None, retry_after: None };
        assert_eq!(end(&mut dice, Duration::ZERO), Some(error.clone()));
        assert_eq!(end(&mut dice, Duration::ZERO), Some(error));
        assert_eq!(end(&mut dice, Duration::ZERO), None);
    }

    #[test]
    fn a_rate_is_a_share_of_the_calls() {
        let mut dice = Dice::new(Faults { hang_rate: 0.02, ..Faults::default() }, 7);
        let hung = (0..10_000).filter(|_| end(&mut dice, Duration::ZERO) == Some(End::Hang)).count();
        assert!((150..250).contains(&hung), "{hung} of 10,000 at 2%");
    }

    #[test]
    fn what_hangs_for_a_while_is_answered_after_it() {
        let hang_for = Some(Span::from_millis(1_500));
        let faults = Faults { latency: Span::from_millis(25), hang_rate: 1.0, hang_for, ..Faults::default() };
        let fate = Dice::new(faults, 0).throw(Instant::now()).expect("a fault is planned");
        assert_eq!((fate.end, fate.latency, fate.hangs), (End::Answer, Duration::from_millis(1_525), true));
    }

    #[test]
    fn faults_that_flap_come_and_go_by_the_clock() {
        let flap = Some(Flap { ill: Span::from_secs(2), well: Span::from_secs(3) });
        let mut dice = Dice::new(Faults { error_rate: 1.0, error_status: 503, flap, ..Faults::default() }, 0);
        let ill = |dice: &mut Dice, millis| end(dice, Duration::from_millis(millis)).is_some();
        for (millis, wanted) in [(0, true), (1_999, true), (2_000, false), (4_999, false), (5_000, true)] {
            assert_eq!(ill(&mut dice, millis), wanted, "after {millis} ms");
        }
    }
}
