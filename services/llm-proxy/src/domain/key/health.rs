//! Whether a key may be used, and how much of it.
//!
//! Invariants:
//! - A rest only ever gets longer, whatever else becomes of the key.
//! - After a rest or a quarantine one call goes first; each success of a call that started at this width doubles it.
//! - No single call takes a key away that may have been forbidden for what it said.

use std::time::Duration;

/// Calls at once after which a key without a limit of them is taken for well.
const WIDE: u32 = 64;
/// Calls in a row, without one that the provider takes among them, of which each was forbidden and none has shown whose fault
/// that is: with so many the key is left alone.
const DOUBTS: u32 = 3;

/// How a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// The provider takes it.
    Well,
    /// It rests after a 429.
    Resting,
    /// It comes back step by step.
    Ramping,
    /// The provider does not take it.
    Quarantined,
}

#[derive(Debug, Default)]
pub(super) struct Health {
    resting_until: Duration,
    /// The provider did not take it, and has not since.
    denied: bool,
    /// Apart from a rest: what is wrong with a key can be mended, and a rest lasts.
    denied_until: Duration,
    /// Since the provider last took it for a call, how many it forbade.
    doubts: u32,
    ramp: Option<Ramp>,
}

#[derive(Debug)]
struct Ramp {
    /// Calls from before say nothing of how the key is now.
    from: Duration,
    /// Calls at once.
    width: u32,
    in_hand: u32,
    widened: Duration,
    well_since: Option<Duration>,
}

impl Health {
    /// Starts nothing before this time. What the key can take afterwards is known.
    pub(super) fn pause(&mut self, until: Duration) {
        self.resting_until = self.resting_until.max(until);
    }

    /// The provider says that it has to wait.
    pub(super) fn rest(&mut self, until: Duration) {
        self.pause(until);
        self.comes_back();
    }

    /// Step by step, once it may.
    fn comes_back(&mut self) {
        let from = self.usable_at();
        self.ramp = Some(Ramp { from, width: 1, in_hand: 0, widened: from, well_since: None });
    }

    /// The provider does not take it.
    pub(super) fn deny(&mut self, until: Duration) {
        self.denied = true;
        self.denied_until = self.denied_until.max(until);
        self.comes_back();
    }

    /// The provider forbids something, perhaps for its fault. How long the key is left alone, where it is: for the shorter
    /// time at first, twice as long with each further one, and no longer than the longer one.
    pub(super) fn doubt(&mut self, now: Duration, (shorter, longer): (Duration, Duration)) -> Option<Duration> {
        self.doubts = self.doubts.saturating_add(1);
        let again = self.doubts.checked_sub(DOUBTS)?;
        let rest = shorter.saturating_mul(2_u32.saturating_pow(again)).min(longer);
        self.deny(now + rest);
        Some(rest)
    }

    /// What was wrong with it is mended, as far as anybody knows: the next call shows.
    pub(super) fn renew(&mut self, now: Duration) {
        self.doubts = 0;
        (self.denied, self.denied_until) = (false, Duration::ZERO);
        self.rest(now);
    }

    pub(super) fn usable_at(&self) -> Duration {
        self.resting_until.max(self.denied_until)
    }

    pub(super) fn is_denied(&self) -> bool {
        self.denied
    }

    pub(super) fn state(&self, now: Duration) -> State {
        match self.ramp {
            _ if self.denied => State::Quarantined,
            _ if self.usable_at() > now => State::Resting,
            Some(_) => State::Ramping,
            None => State::Well,
        }
    }

    /// How many calls may start now.
    pub(super) fn headroom(&self, now: Duration) -> u64 {
        let wide = self.ramp.as_ref().map_or(u64::MAX, |ramp| ramp.width.saturating_sub(ramp.in_hand).into());
        if now < self.usable_at() { 0 } else { wide }
    }

    pub(super) fn started(&mut self) {
        if let Some(ramp) = &mut self.ramp {
            ramp.in_hand += 1;
        }
    }

    /// A call that started at that time is over.
    pub(super) fn ended(&mut self, started: Duration) {
        if let Some(ramp) = self.ramp.as_mut().filter(|ramp| started >= ramp.from) {
            ramp.in_hand = ramp.in_hand.saturating_sub(1);
        }
    }

    /// The provider took it for a call that started at that time.
    pub(super) fn taken(&mut self, now: Duration, started: Duration, concurrency: Option<u64>) {
        if self.ramp.as_ref().is_none_or(|ramp| started >= ramp.from) {
            self.doubts = 0;
        }
        let Some(ramp) = self.ramp.as_mut().filter(|ramp| started >= ramp.from) else { return };
        self.denied = false;
        ramp.well_since.get_or_insert(now);
        if started >= ramp.widened {
            (ramp.width, ramp.widened) = (ramp.width.saturating_mul(2), now);
        }
        if u64::from(ramp.width) >= concurrency.unwrap_or(WIDE.into()) {
            self.ramp = None;
        }
    }

    /// Lets time pass: a key that was well for a whole window is well.
    pub(super) fn advance(&mut self, now: Duration, window: Duration) {
        if self.well_at(window).is_some_and(|at| at <= now) {
            self.ramp = None;
        }
    }

    /// When time alone changes something, after this time.
    pub(super) fn next_change(&self, after: Duration, window: Duration) -> Option<Duration> {
        [Some(self.usable_at()), self.well_at(window)].into_iter().flatten().filter(|at| *at > after).min()
    }

    fn well_at(&self, window: Duration) -> Option<Duration> {
        Some(self.ramp.as_ref()?.well_since? + window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn one_call_goes_first_and_each_round_doubles() {
        let mut health = Health::default();
        health.rest(at(7));
        assert_eq!((health.headroom(at(6)), health.headroom(at(7))), (0, 1));
        let mut widths = Vec::new();
        for second in 7.. {
            widths.push(health.headroom(at(second)));
            if health.state(at(second)) == State::Well {
                break;
            }
            // All of a round succeed: only the first of them shows something new.
            let round = health.headroom(at(second));
            (0..round).for_each(|_| health.started());
            for _ in 0..round {
                health.ended(at(second));
                health.taken(at(second) + at(1) / 2, at(second), None);
            }
        }
        assert_eq!(widths, [1, 2, 4, 8, 16, 32, u64::MAX]);
    }

    #[test]
    fn a_success_from_before_the_rest_says_nothing() {
        let mut health = Health::default();
        health.rest(at(7));
        health.taken(at(3), at(0), None);
        health.ended(at(0));
        assert_eq!(health.headroom(at(7)), 1);
        health.deny(at(9));
        health.taken(at(8), at(7), None);
        assert_eq!(health.state(at(20)), State::Quarantined);
    }

    #[test]
    fn a_rest_never_gets_shorter() {
        let mut health = Health::default();
        health.rest(at(7));
        health.rest(at(3));
        assert_eq!((health.usable_at(), health.state(at(6))), (at(7), State::Resting));
    }

    #[test]
    fn a_key_that_was_well_for_a_window_is_well() {
        let mut health = Health::default();
        health.rest(at(7));
        health.advance(at(7) + 2 * WINDOW, WINDOW);
        assert_eq!(health.state(at(200)), State::Ramping, "nobody has tried it");
        health.taken(at(201), at(200), None);
        assert_eq!(health.next_change(at(201), WINDOW), Some(at(261)));
        health.advance(at(261), WINDOW);
        assert_eq!(health.state(at(261)), State::Well);
    }

    #[test]
    fn a_key_is_left_alone_for_doubts_only_where_nothing_speaks_for_it_and_shortly_at_first() {
        let (mut health, rests) = (Health::default(), (at(5), at(600)));
        for _ in 0..3 {
            assert_eq!((health.doubt(at(1), rests), health.doubt(at(1), rests)), (None, None));
            health.taken(at(2), at(1), None);
        }
        let rest = (0..10).map(|_| health.doubt(at(3), rests).map(|rest| rest.as_secs())).collect::<Vec<_>>();
        let doubled = [5, 10, 20, 40, 80, 160, 320, 600].map(Some);
        assert_eq!((&rest[..2], &rest[2..]), (&[None, None][..], &doubled[..]));
        assert_eq!(health.state(at(4)), State::Quarantined);
        // A call from before says nothing; one from afterwards does.
        health.taken(at(5), at(3), None);
        assert!(health.doubt(at(604), rests).is_some());
        health.taken(at(1_300), at(1_290), None);
        assert_eq!((health.state(at(1_301)), health.doubt(at(1_301), rests)), (State::Ramping, None));
    }

    #[test]
    fn a_key_that_is_lifted_out_of_its_quarantine_rests_on_for_as_long_as_its_429_said() {
        for order in [[false, true], [true, false]] {
            let mut health = Health::default();
            order.into_iter().for_each(|denied| if denied { health.deny(at(600)) } else { health.rest(at(7)) });
            health.renew(at(1));
            assert_eq!((health.headroom(at(6)), health.state(at(6))), (0, State::Resting));
            assert_eq!((health.headroom(at(7)), health.state(at(7))), (1, State::Ramping));
        }
    }

    #[test]
    fn a_key_with_new_secret_is_tried_at_once_by_one_call() {
        let mut health = Health::default();
        health.deny(at(600));
        health.renew(at(5));
        assert_eq!((health.headroom(at(5)), health.state(at(5))), (1, State::Ramping));
    }
}
