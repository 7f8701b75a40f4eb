//! One API key: what of its limits is in use, and whether it is well.
//!
//! Invariants:
//! - A request counts against the window until one window after its arrival is certain: at the response's head, or
//!   [`TRANSIT_MAX`] after it was written, whichever comes first. Until then it counts without an end.
//! - A place is free when its call's end is certain, or [`ENDING_MAX`] after the call was given up.
//! - A rest only ever gets longer.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use holdfast_resilience::SlidingLog;

use super::pool::CallId;

/// A request that was written to an established connection has arrived after this long. The limits hold within it.
pub(crate) const TRANSIT_MAX: Duration = Duration::from_millis(500);
/// A call that was given up has ended at the provider after this long.
pub(crate) const ENDING_MAX: Duration = Duration::from_secs(1);

/// What the provider allows a key. `None` is no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) requests: Option<u32>,
    pub(crate) tokens: Option<u64>,
    pub(crate) concurrency: Option<u32>,
    /// What counts as a minute.
    pub(crate) window: Duration,
}

/// What is known of one earlier call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Record {
    /// When its arrival was certain.
    pub(crate) arrived: Option<Duration>,
    /// When its end was certain.
    pub(crate) ended: Option<Duration>,
    pub(crate) tokens: u64,
}

/// What is known of the last window when a process starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Past {
    /// The key was never used here.
    Fresh,
    /// Every call that may still count.
    Kept(Vec<Record>),
    /// Calls were made before the machine started, at time zero, and are not known.
    Lost,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It was never sent.
    Unsent,
    /// The provider is done with it; the tokens that it used, where they are known.
    Certain { tokens: Option<u64> },
    /// The provider turned it away: it arrived, and cost nothing else.
    Refused,
    /// It was given up, or broke: the provider may still be at it.
    Uncertain,
}

#[derive(Debug)]
pub(crate) struct Key {
    limits: Limits,
    requests: Option<SlidingLog>,
    tokens: Option<SlidingLog>,
    places: u32,
    calls: HashMap<CallId, Call>,
    /// What becomes certain by time alone, by the time.
    due: BTreeSet<(Duration, CallId, Due)>,
    resting_until: Duration,
}

#[derive(Debug)]
struct Call {
    since: Duration,
    tokens: u64,
    arrived: bool,
    ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Arrival,
    End,
}

impl Key {
    pub(crate) fn new(limits: Limits, past: &Past, now: Duration) -> Self {
        let log = |limit: u64| match past {
            Past::Lost => SlidingLog::spent(limit, limits.window, Duration::ZERO),
            _ => SlidingLog::new(limit, limits.window),
        };
        let mut key = Self {
            requests: limits.requests.map(|limit| log(limit.into())),
            tokens: limits.tokens.map(log),
            limits,
            places: 0,
            calls: HashMap::new(),
            due: BTreeSet::new(),
            resting_until: Duration::ZERO,
        };
        if let Past::Kept(records) = past {
            key.recall(records, now);
        }
        key
    }

    /// Counts the calls of a process that is gone. What it left open is over once a call given up is.
    fn recall(&mut self, records: &[Record], now: Duration) {
        let over = now + ENDING_MAX;
        let mut arrivals: Vec<_> = records.iter().map(|record| record.arrived.unwrap_or(over)).collect();
        let mut ends: Vec<_> = records.iter().map(|record| (record.ended.unwrap_or(over), record.tokens)).collect();
        arrivals.sort_unstable();
        ends.sort_unstable();
        if let Some(log) = &mut self.requests {
            arrivals.iter().for_each(|at| log.charge(*at, 1));
        }
        if let Some(log) = &mut self.tokens {
            ends.iter().for_each(|(at, tokens)| log.charge(*at, *tokens));
        }
        // A log must not be asked about a time before what it counts.
        let latest = arrivals.last().copied().max(ends.last().map(|(at, _)| *at));
        self.rest(latest.filter(|at| *at > now).unwrap_or_default());
    }

    /// Lets time pass.
    pub(crate) fn advance(&mut self, now: Duration) {
        while let Some(&(at, id, due)) = self.due.first() {
            if at > now {
                break;
            }
            self.due.pop_first();
            match due {
                Due::Arrival => self.arrive(at, id),
                Due::End => self.end(at, id, None),
            }
        }
    }

    /// When time alone changes something next.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.due.first().map(|(at, _, _)| *at)
    }

    /// How many calls of this size could start now, as far as it is known.
    pub(crate) fn headroom(&mut self, now: Duration, tokens: u64) -> u64 {
        if now < self.resting_until {
            return 0;
        }
        let places = self.limits.concurrency.map_or(u64::MAX, |most| most.saturating_sub(self.places).into());
        let requests = self.requests.as_mut().map_or(u64::MAX, |log| log.available(now));
        let wanted = self.token_share(tokens).max(1);
        let by_tokens = self.tokens.as_mut().map_or(u64::MAX, |log| log.available(now) / wanted);
        places.min(requests).min(by_tokens)
    }

    /// Takes a place for a call. There must be headroom.
    pub(crate) fn take(&mut self, now: Duration, id: CallId, tokens: u64) {
        let tokens = self.token_share(tokens);
        if let Some(log) = &mut self.requests {
            log.reserve(now, 1).expect("there is headroom");
        }
        if let Some(log) = &mut self.tokens {
            log.reserve(now, tokens).expect("there is headroom");
        }
        self.places += 1;
        self.calls.insert(id, Call { since: now, tokens, arrived: false, ended: false });
    }

    /// The request was written; it arrives within the transit bound.
    pub(crate) fn sent(&mut self, now: Duration, id: CallId) {
        if self.calls.get(&id).is_some_and(|call| !call.arrived) {
            self.due.insert((now + TRANSIT_MAX, id, Due::Arrival));
        }
    }

    /// The response began: the request has arrived.
    pub(crate) fn answered(&mut self, now: Duration, id: CallId) {
        self.arrive(now, id);
    }

    /// A call is over on our side. How long it held its place, where the provider is done with it.
    pub(crate) fn ended(&mut self, now: Duration, id: CallId, ending: Ending) -> Option<Duration> {
        match ending {
            Ending::Unsent => self.never_was(id),
            Ending::Certain { tokens } => {
                let held = self.calls.get(&id).map(|call| now.saturating_sub(call.since));
                self.arrive(now, id);
                self.end(now, id, tokens);
                return held;
            }
            Ending::Refused => {
                self.arrive(now, id);
                self.end(now, id, Some(0));
            }
            Ending::Uncertain => {
                self.due.insert((now + TRANSIT_MAX, id, Due::Arrival));
                self.due.insert((now + ENDING_MAX, id, Due::End));
            }
        }
        None
    }

    /// Starts no call before this time.
    pub(crate) fn rest(&mut self, until: Duration) {
        self.resting_until = self.resting_until.max(until);
    }

    pub(crate) fn resting_until(&self) -> Duration {
        self.resting_until
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn places(&self) -> u32 {
        self.places
    }

    pub(crate) fn request_log(&self) -> Option<&SlidingLog> {
        self.requests.as_ref()
    }

    pub(crate) fn token_log(&self) -> Option<&SlidingLog> {
        self.tokens.as_ref()
    }

    /// A call that is larger than the whole limit takes all of it: else it would wait for ever.
    fn token_share(&self, tokens: u64) -> u64 {
        self.limits.tokens.map_or(tokens, |limit| tokens.min(limit))
    }

    fn arrive(&mut self, now: Duration, id: CallId) {
        let Some(call) = self.calls.get_mut(&id).filter(|call| !call.arrived) else { return };
        call.arrived = true;
        if let Some(log) = &mut self.requests {
            log.arrive(now, 1);
        }
        self.forget(id);
    }

    fn end(&mut self, now: Duration, id: CallId, tokens: Option<u64>) {
        let Some(call) = self.calls.get_mut(&id).filter(|call| !call.ended) else { return };
        call.ended = true;
        let (reserved, used) = (call.tokens, tokens.unwrap_or(call.tokens));
        self.places -= 1;
        if let Some(log) = &mut self.tokens {
            log.arrive(now, used.min(reserved));
            log.release(reserved.saturating_sub(used));
            log.charge(now, used.saturating_sub(reserved));
        }
        self.forget(id);
    }

    fn never_was(&mut self, id: CallId) {
        let Some(call) = self.calls.remove(&id) else { return };
        if let Some(log) = self.requests.as_mut().filter(|_| !call.arrived) {
            log.release(1);
        }
        if let Some(log) = &mut self.tokens {
            log.release(call.tokens);
        }
        self.places -= 1;
    }

    fn forget(&mut self, id: CallId) {
        if self.calls.get(&id).is_some_and(|call| call.arrived && call.ended) {
            self.calls.remove(&id);
        }
    }
}
