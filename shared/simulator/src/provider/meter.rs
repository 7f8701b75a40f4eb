//! Limits that are kept: a sliding log of what arrived in the last window, by the time of arrival.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::limits::{Kind, ModelLimits, Past};

/// What was used of some limits.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    limits: ModelLimits,
    window: Duration,
    /// In the order of [`Kind::ALL`].
    logs: [Log; 4],
    in_flight: u32,
}

#[derive(Debug, Default)]
struct Log {
    entries: VecDeque<(Instant, u64)>,
    used: u64,
}

/// What is left of one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) kind: Kind,
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    /// Until nothing of it is used any more.
    pub(crate) reset: Duration,
}

impl Meter {
    pub(crate) fn new(limits: ModelLimits, window: Duration) -> Self {
        Self { limits, window, ..Self::default() }
    }

    /// Changes the limits; what was used stays used.
    pub(crate) fn set(&mut self, limits: ModelLimits, window: Duration) {
        (self.limits, self.window) = (limits, window);
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// How many requests the current window holds.
    pub(crate) fn in_window(&self) -> usize {
        self.log(Kind::Requests).entries.len()
    }

    /// Whether a request may arrive now. A refused one counts against nothing.
    pub(crate) fn admits(&mut self, now: Instant) -> Result<(), Past> {
        if self.limits.concurrency.is_some_and(|most| self.in_flight >= most) {
            return Err(Past { limit: "concurrency", retry_after: Duration::from_secs(1) });
        }
        self.room(now, Kind::Requests, 1)
    }

    /// A request arrives.
    pub(crate) fn arrive(&mut self, now: Instant) {
        self.count(now, Kind::Requests, 1);
        self.in_flight += 1;
    }

    /// Whether a prompt of so many tokens may be read now.
    pub(crate) fn admits_tokens(&mut self, now: Instant, tokens: u64) -> Result<(), Past> {
        self.room(now, Kind::Tokens, tokens)?;
        self.room(now, Kind::Input, tokens)?;
        // How long an answer becomes, nobody knows before it is written.
        self.room(now, Kind::Output, 1)
    }

    /// A prompt is read.
    pub(crate) fn read(&mut self, now: Instant, tokens: u64) {
        self.count(now, Kind::Tokens, tokens);
        self.count(now, Kind::Input, tokens);
    }

    /// Tokens of an answer are written.
    pub(crate) fn write(&mut self, now: Instant, tokens: u64) {
        self.count(now, Kind::Tokens, tokens);
        self.count(now, Kind::Output, tokens);
    }

    /// A request ends.
    pub(crate) fn leave(&mut self) {
        self.in_flight -= 1;
    }

    /// What is left of each limit that there is.
    pub(crate) fn rates(&mut self, now: Instant) -> Vec<Rate> {
        let left = |kind: Kind| {
            let limit = self.limits.of(kind)?;
            self.forget(now, kind);
            let log = self.log(kind);
            let newest = log.entries.back().map(|(at, _)| *at + self.window);
            let reset = newest.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
            Some(Rate { kind, limit, remaining: limit.saturating_sub(log.used), reset })
        };
        Kind::ALL.into_iter().filter_map(left).collect()
    }

    fn room(&mut self, now: Instant, kind: Kind, wanted: u64) -> Result<(), Past> {
        let Some(most) = self.limits.of(kind) else { return Ok(()) };
        self.forget(now, kind);
        let log = self.log(kind);
        let missing = (log.used + wanted).saturating_sub(most);
        if missing == 0 {
            return Ok(());
        }
        let mut freed = 0;
        let enough = log.entries.iter().find(|(_, used)| {
            freed += used;
            freed >= missing
        });
        let retry_after = enough.map_or(self.window, |(at, _)| (*at + self.window).saturating_duration_since(now));
        Err(Past { limit: kind.name(), retry_after })
    }

    fn count(&mut self, now: Instant, kind: Kind, used: u64) {
        // Without a limit there is nothing to remember.
        if self.limits.of(kind).is_some() && used > 0 {
            self.forget(now, kind);
            let log = &mut self.logs[kind as usize];
            log.entries.push_back((now, used));
            log.used += used;
        }
    }

    fn forget(&mut self, now: Instant, kind: Kind) {
        let log = &mut self.logs[kind as usize];
        while let Some((at, used)) = log.entries.front() {
            if now.saturating_duration_since(*at) < self.window {
                break;
            }
            log.used -= used;
            log.entries.pop_front();
        }
    }

    fn log(&self, kind: Kind) -> &Log {
        &self.logs[kind as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(limits: ModelLimits) -> (Meter, Instant) {
        (Meter::new(limits, Duration::from_secs(60)), Instant::now())
    }

    fn arrive(meter: &mut Meter, now: Instant) -> Result<(), Past> {
        meter.admits(now).map(|()| meter.arrive(now))
    }

    fn read(meter: &mut Meter, now: Instant, tokens: u64) -> Result<(), Past> {
        meter.admits_tokens(now, tokens).map(|()| meter.read(now, tokens))
    }

    #[test]
    fn a_minute_slides() {
        let (mut meter, start) = meter(ModelLimits { requests_per_minute: Some(2), ..ModelLimits::default() });
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        arrive(&mut meter, at(0)).expect("first");
        arrive(&mut meter, at(50)).expect("second");
        let past = arrive(&mut meter, at(59)).expect_err("the first still counts");
        assert_eq!(past, Past { limit: "requests", retry_after: Duration::from_secs(1) });
        arrive(&mut meter, at(60)).expect("the first has left");
        arrive(&mut meter, at(61)).expect_err("a calendar minute would have begun anew");
    }

    #[test]
    fn a_place_is_free_when_a_request_ends() {
        let (mut meter, now) = meter(ModelLimits { concurrency: Some(1), ..ModelLimits::default() });
        arrive(&mut meter, now).expect("free");
        assert_eq!(arrive(&mut meter, now).expect_err("taken").limit, "concurrency");
        meter.leave();
        arrive(&mut meter, now).expect("free again");
    }

    #[test]
    fn tokens_count_when_they_arrive_and_as_they_are_written() {
        let (mut meter, start) = meter(ModelLimits { tokens_per_minute: Some(100), ..ModelLimits::default() });
        read(&mut meter, start, 60).expect("within");
        meter.write(start, 30);
        assert_eq!(read(&mut meter, start, 20).expect_err("110").limit, "tokens");
        read(&mut meter, start + Duration::from_secs(60), 100).expect("a new window");
    }

    #[test]
    fn the_time_to_come_back_is_when_enough_has_left() {
        let (mut meter, start) = meter(ModelLimits { input_tokens_per_minute: Some(100), ..ModelLimits::default() });
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        read(&mut meter, at(0), 10).expect("within");
        read(&mut meter, at(20), 60).expect("within");
        assert_eq!(read(&mut meter, at(30), 50).expect_err("120").retry_after, Duration::from_secs(50));
        let rates = meter.rates(at(30));
        let left = Rate { kind: Kind::Input, limit: 100, remaining: 30, reset: Duration::from_secs(50) };
        assert_eq!(rates, [left]);
    }

    #[test]
    fn what_was_written_keeps_out_who_comes_and_not_who_is_there() {
        let (mut meter, start) = meter(ModelLimits { output_tokens_per_minute: Some(10), ..ModelLimits::default() });
        read(&mut meter, start, 1_000).expect("nothing was written");
        meter.write(start, 15);
        assert_eq!(read(&mut meter, start, 1).expect_err("too much was").limit, "output_tokens");
    }
}
