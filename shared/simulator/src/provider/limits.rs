//! A key's limits, counted strictly: a sliding log of what arrived in the last window, by the time of arrival.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use holdfast_config::Span;
use serde::{Deserialize, Serialize};

use crate::config::write_span;

/// What one API key may do.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Requests in any window.
    pub requests_per_minute: Option<u32>,
    /// Tokens in any window: those of a prompt when it arrives, those of an answer as they are written.
    pub tokens_per_minute: Option<u64>,
    /// Requests at once.
    pub concurrency: Option<u32>,
    /// What counts as a minute; shorter where a rehearsal compresses time.
    #[serde(serialize_with = "write_span")]
    pub window: Span,
}

impl Default for Limits {
    fn default() -> Self {
        Self { requests_per_minute: None, tokens_per_minute: None, concurrency: None, window: Span::from_secs(60) }
    }
}

/// Which limit a request ran into, and how long until it may come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Past {
    pub(crate) limit: &'static str,
    pub(crate) retry_after: Duration,
}

/// What one key has used.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    limits: Limits,
    arrivals: VecDeque<Instant>,
    tokens: VecDeque<(Instant, u64)>,
    tokens_used: u64,
    in_flight: u32,
}

impl Meter {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn set(&mut self, limits: Limits) {
        self.limits = limits;
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// How many requests the current window holds.
    pub(crate) fn in_window(&self) -> usize {
        self.arrivals.len()
    }

    /// A request arrives. A refused one counts against nothing.
    pub(crate) fn arrive(&mut self, now: Instant) -> Result<(), Past> {
        self.forget(now);
        if self.limits.concurrency.is_some_and(|most| self.in_flight >= most) {
            return Err(Past { limit: "concurrency", retry_after: Duration::from_secs(1) });
        }
        if self.limits.requests_per_minute.is_some_and(|most| self.arrivals.len() >= most as usize) {
            let retry_after = self.until_leaves(self.arrivals.front(), now);
            return Err(Past { limit: "requests", retry_after });
        }
        self.arrivals.push_back(now);
        self.in_flight += 1;
        Ok(())
    }

    /// The tokens of its prompt arrive.
    pub(crate) fn read(&mut self, now: Instant, tokens: u64) -> Result<(), Past> {
        self.forget(now);
        if self.limits.tokens_per_minute.is_some_and(|most| self.tokens_used + tokens > most) {
            let retry_after = self.until_leaves(self.tokens.front().map(|(at, _)| at), now);
            return Err(Past { limit: "tokens", retry_after });
        }
        self.count(now, tokens);
        Ok(())
    }

    /// Tokens of an answer are written.
    pub(crate) fn write(&mut self, now: Instant, tokens: u64) {
        self.forget(now);
        self.count(now, tokens);
    }

    /// A request ends.
    pub(crate) fn leave(&mut self) {
        self.in_flight -= 1;
    }

    fn count(&mut self, now: Instant, tokens: u64) {
        // Without a limit there is nothing to remember.
        if self.limits.tokens_per_minute.is_some() && tokens > 0 {
            self.tokens.push_back((now, tokens));
            self.tokens_used += tokens;
        }
    }

    fn until_leaves(&self, oldest: Option<&Instant>, now: Instant) -> Duration {
        oldest.map_or(*self.limits.window, |at| (*at + *self.limits.window).saturating_duration_since(now))
    }

    fn forget(&mut self, now: Instant) {
        let left = |at: Instant| now.saturating_duration_since(at) >= *self.limits.window;
        while self.arrivals.front().is_some_and(|at| left(*at)) {
            self.arrivals.pop_front();
        }
        while self.tokens.front().is_some_and(|(at, _)| left(*at)) {
            self.tokens_used -= self.tokens.pop_front().map_or(0, |(_, tokens)| tokens);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(limits: Limits) -> (Meter, Instant) {
        (Meter::new(limits), Instant::now())
    }

    #[test]
    fn a_minute_slides() {
        let (mut meter, start) = meter(Limits { requests_per_minute: Some(2), ..Limits::default() });
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        meter.arrive(at(0)).expect("first");
        meter.arrive(at(50)).expect("second");
        let past = meter.arrive(at(59)).expect_err("the first still counts");
        assert_eq!(past, Past { limit: "requests", retry_after: Duration::from_secs(1) });
        meter.arrive(at(60)).expect("the first has left");
        meter.arrive(at(61)).expect_err("a calendar minute would have begun anew");
    }

    #[test]
    fn a_place_is_free_when_a_request_ends() {
        let (mut meter, now) = meter(Limits { concurrency: Some(1), ..Limits::default() });
        meter.arrive(now).expect("free");
        assert_eq!(meter.arrive(now).expect_err("taken").limit, "concurrency");
        meter.leave();
        meter.arrive(now).expect("free again");
    }

    #[test]
    fn tokens_count_when_they_arrive_and_as_they_are_written() {
        let (mut meter, start) = meter(Limits { tokens_per_minute: Some(100), ..Limits::default() });
        meter.read(start, 60).expect("within");
        meter.write(start, 30);
        assert_eq!(meter.read(start, 20).expect_err("110").limit, "tokens");
        meter.read(start + Duration::from_secs(60), 100).expect("a new window");
    }
}
