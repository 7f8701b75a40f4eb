//! What a breaker shall do, said in the plainest way: every stay in a state is kept with all that happened in it, and
//! whatever is asked is counted from scratch.

use std::time::Duration;

use holdfast_resilience::breaker::{Mode, Outcome, Reason, Refused, Settings, Standing, State, Window};

/// The open time in these tests, and the most that it doubles to.
pub(super) const OPEN_MS: u64 = 300;
pub(super) const OPEN_MAX_MS: u64 = 1000;

/// A call under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    stay: usize,
    since: u64,
    orphan: bool,
}

struct Ended {
    at: u64,
    took: u64,
    failed: bool,
}

/// One stay in one state.
pub(super) struct Stay {
    pub(super) state: State,
    pub(super) mode: Mode,
    pub(super) reason: Reason,
    pub(super) since: u64,
    /// While open, without an operator.
    pub(super) until: u64,
    /// Where it was another's: how often that one had opened.
    pub(super) adopted: Option<u32>,
    out: u32,
    /// Calls that go on though their callers do not.
    orphans: u32,
    ended: Vec<Ended>,
}

/// Calls, failures, slow calls.
pub(super) type Counts = (u32, u32, u32);

pub(super) struct Model {
    settings: Settings,
    pub(super) stays: Vec<Stay>,
    pub(super) generation: u64,
}

impl Model {
    pub(super) fn new(settings: Settings) -> Self {
        let mut model = Self { settings, stays: Vec::new(), generation: 0 };
        model.enter(0, State::Closed, Mode::Auto, Reason::Started);
        model.generation = 0;
        model
    }

    fn enter(&mut self, now: u64, state: State, mode: Mode, reason: Reason) -> &mut Stay {
        let (out, orphans, ended) = (0, 0, Vec::new());
        self.stays.push(Stay { state, mode, reason, since: now, until: now, adopted: None, out, orphans, ended });
        self.generation += 1;
        self.stays.last_mut().expect("just pushed")
    }

    pub(super) fn stay(&self) -> &Stay {
        self.stays.last().expect("there is always one")
    }

    pub(super) fn acquire(&mut self, now: u64) -> Result<Call, Refused> {
        match self.refusal(now) {
            Some(refused) => Err(refused),
            None => Ok(self.begin(now)),
        }
    }

    pub(super) fn acquire_closed(&mut self, now: u64) -> Result<Call, Refused> {
        if self.stay().state == State::Closed {
            return Ok(self.begin(now));
        }
        let due = Refused { state: self.stay().state, retry_after: Duration::ZERO };
        Err(self.refusal(now).unwrap_or(due))
    }

    pub(super) fn grant(&mut self, now: u64) -> Result<Call, Refused> {
        if self.stay().mode == Mode::ForcedOpen {
            return Err(self.refusal(now).expect("it is held open"));
        }
        Ok(self.begin(now))
    }

    pub(super) fn refusal(&self, now: u64) -> Option<Refused> {
        let stay = self.stay();
        let succeeded = stay.ended.len() as u32;
        let wait = match (stay.state, stay.mode) {
            (State::Open, Mode::ForcedOpen) => OPEN_MS,
            (State::Open, _) if now < stay.until => stay.until - now,
            (State::HalfOpen, _) if stay.out + succeeded >= self.settings.probes => OPEN_MS,
            _ => return None,
        };
        Some(Refused { state: stay.state, retry_after: Duration::from_millis(wait) })
    }

    fn begin(&mut self, now: u64) -> Call {
        if self.stay().state == State::Open {
            self.enter(now, State::HalfOpen, Mode::Auto, Reason::OpenTimePassed);
        }
        self.stays.last_mut().expect("there is always one").out += 1;
        Call { stay: self.stays.len() - 1, since: now, orphan: false }
    }

    /// Only of probes anybody wants to know what becomes of them, and of no more than close it.
    pub(super) fn orphan(&mut self, call: &mut Call) -> bool {
        let (current, probes) = (self.stays.len() - 1, self.settings.probes);
        let stay = &mut self.stays[current];
        let is_probe = call.stay == current && stay.state == State::HalfOpen && !call.orphan;
        if !is_probe || stay.orphans + stay.ended.len() as u32 >= probes {
            return false;
        }
        (stay.out, stay.orphans, call.orphan) = (stay.out - 1, stay.orphans + 1, true);
        true
    }

    pub(super) fn settle(&mut self, now: u64, call: Call, outcome: Outcome) {
        if call.stay + 1 != self.stays.len() {
            return;
        }
        let stay = &mut self.stays[call.stay];
        if call.orphan {
            stay.orphans -= 1;
        } else {
            stay.out -= 1;
        }
        if outcome == Outcome::Cancelled {
            return;
        }
        let failed = outcome == Outcome::Failure;
        stay.ended.push(Ended { at: now, took: now - call.since, failed });
        match (stay.mode, stay.state) {
            (Mode::Auto, State::Closed) => {
                if let Some(reason) = self.trips(now) {
                    self.open(now, reason);
                }
            }
            (Mode::Auto, State::HalfOpen) => self.judge_probes(now, failed),
            _ => {}
        }
    }

    fn judge_probes(&mut self, now: u64, failed: bool) {
        let probes = self.settings.probes;
        let slow = self.stay().ended.iter().filter(|call| self.is_slow(call)).count() as u32;
        if failed {
            self.open(now, Reason::ProbeFailed);
        } else if slow > 0 && slow * 100 >= probes * self.settings.slow_percent {
            self.open(now, Reason::ProbesSlow { slow, probes });
        } else if self.stay().ended.len() >= probes as usize {
            self.enter(now, State::Closed, Mode::Auto, Reason::ProbesSucceeded);
        }
    }

    fn trips(&self, now: u64) -> Option<Reason> {
        let in_a_row = self.stay().ended.iter().rev().take_while(|call| call.failed).count() as u32;
        if self.settings.consecutive_failures.is_some_and(|most| in_a_row >= most) {
            return Some(Reason::ConsecutiveFailures(in_a_row));
        }
        let (calls, failures, slow) = self.counts(now);
        if calls < self.settings.minimum_calls {
            return None;
        }
        if failures * 100 >= calls * self.settings.failure_percent {
            return Some(Reason::FailureRate { failures, calls });
        }
        (slow * 100 >= calls * self.settings.slow_percent).then_some(Reason::SlowRate { slow, calls })
    }

    fn open(&mut self, now: u64, reason: Reason) {
        let time = (OPEN_MS << self.openings().min(20)).min(OPEN_MAX_MS);
        self.enter(now, State::Open, Mode::Auto, reason).until = now + time;
    }

    pub(super) fn force(&mut self, now: u64, mode: Mode) -> bool {
        let from = self.stay().mode;
        if from == mode {
            return false;
        }
        let state = match mode {
            Mode::ForcedOpen => State::Open,
            Mode::ForcedClosed => State::Closed,
            Mode::Auto if from == Mode::ForcedOpen => State::HalfOpen,
            Mode::Auto => State::Closed,
        };
        self.enter(now, state, mode, Reason::Forced(mode));
        true
    }

    pub(super) fn adopt(&mut self, now: u64, other: &Standing) -> bool {
        let state = match other.mode {
            Mode::ForcedOpen => State::Open,
            Mode::ForcedClosed => State::Closed,
            Mode::Auto => other.state,
        };
        let (is, newer) = (self.stay(), other.generation > self.generation);
        let different = other.generation == self.generation && (is.state, is.mode) != (state, other.mode);
        if !newer && !different {
            return false;
        }
        let left = (other.open_for.as_millis() as u64).min(OPEN_MAX_MS);
        let stay = self.enter(now, state, other.mode, other.reason);
        stay.until = now + left;
        stay.adopted = Some(other.openings);
        self.generation = other.generation;
        true
    }

    /// How often it opened since it was last closed; of the time before it took over another's standing that one knows.
    pub(super) fn openings(&self) -> u32 {
        let mut openings = 0;
        for stay in self.stays.iter().rev().take_while(|stay| stay.state != State::Closed) {
            if let Some(before) = stay.adopted {
                return openings + before;
            }
            openings += u32::from(stay.state == State::Open && stay.mode == Mode::Auto);
        }
        openings
    }

    /// What the window shows: while open still that of before.
    pub(super) fn counts(&self, now: u64) -> Counts {
        let counting = self.stays.iter().rev().find(|stay| stay.state != State::Open).expect("it began closed");
        let recent: Vec<&Ended> = match self.settings.window {
            Window::Time(time) => {
                let slice = time.as_millis() as u64 / 10;
                counting.ended.iter().filter(|call| call.at / slice + 10 > now / slice).collect()
            }
            Window::Calls(most) => counting.ended.iter().rev().take(most as usize).collect(),
        };
        let failures = recent.iter().filter(|call| call.failed).count() as u32;
        let slow = recent.iter().filter(|call| self.is_slow(call)).count() as u32;
        (recent.len() as u32, failures, slow)
    }

    fn is_slow(&self, call: &Ended) -> bool {
        self.settings.slow_call.is_some_and(|most| Duration::from_millis(call.took) > most)
    }
}
