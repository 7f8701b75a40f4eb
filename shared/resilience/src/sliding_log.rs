//! A limit that holds in every sliding window, by a log of what was spent.

use std::collections::VecDeque;
use std::time::Duration;

/// At most `limit` tokens in any window, both of its ends included.
///
/// What is reserved counts without an end until its arrival at the other side is certain, and from there for one window:
/// a request that travels slowly must not slip into the other side's next window. The log has at most `limit` entries.
#[derive(Debug, Clone)]
pub struct SlidingLog {
    limit: u64,
    window: Duration,
    /// Arrived, oldest first.
    arrived: VecDeque<(Duration, u64)>,
    /// Exact, whatever was charged: so wide that it cannot run over.
    arrived_total: u128,
    reserved: u64,
    now: Duration,
}

/// Why tokens were not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Not yet: there are enough after this long, if nobody else takes them.
    Wait(Duration),
    /// Not before a reservation has arrived or was given up: when is not known here.
    Reserved,
    /// Never: more was asked for than the limit.
    TooLarge,
}

impl SlidingLog {
    /// An empty log.
    pub fn new(limit: u64, window: Duration) -> Self {
        Self { limit, window, arrived: VecDeque::new(), arrived_total: 0, reserved: 0, now: Duration::ZERO }
    }

    /// A log after a restart, when nobody knows what the last window held: it counts as spent.
    pub fn spent(limit: u64, window: Duration, now: Duration) -> Self {
        let mut log = Self::new(limit, window);
        log.reserved = limit;
        log.arrive(now, limit);
        log
    }

    /// Reserves tokens, all or none. Follow it by [`Self::arrive`] or [`Self::release`].
    pub fn reserve(&mut self, now: Duration, tokens: u64) -> Result<(), Refusal> {
        if tokens > self.limit {
            return Err(Refusal::TooLarge);
        }
        self.advance(now);
        let free = self.free();
        if tokens <= free {
            self.reserved += tokens;
            return Ok(());
        }
        Err(self.wait_for(tokens - free))
    }

    /// Reserved tokens have certainly arrived by now: they count for one window more.
    pub fn arrive(&mut self, now: Duration, tokens: u64) {
        self.advance(now);
        let tokens = tokens.min(self.reserved);
        self.reserved -= tokens;
        let counted = match self.arrived.back_mut() {
            Some((time, sum)) if *time == self.now => {
                let before = *sum;
                *sum = sum.saturating_add(tokens);
                *sum - before
            }
            _ if tokens > 0 => {
                self.arrived.push_back((self.now, tokens));
                tokens
            }
            _ => 0,
        };
        self.arrived_total += u128::from(counted);
    }

    /// Reserved tokens that certainly never left are free again.
    pub fn release(&mut self, tokens: u64) {
        self.reserved = self.reserved.saturating_sub(tokens);
    }

    /// Tokens used beyond what was reserved, such as a model's longer answer: they count from now, past the limit even.
    pub fn charge(&mut self, now: Duration, tokens: u64) {
        self.reserved = self.reserved.saturating_add(tokens);
        self.arrive(now, tokens);
    }

    /// Fewer tokens arrived at that time than were counted: the others are free at once.
    pub fn correct(&mut self, arrived: Duration, fewer: u64) {
        if let Some(index) = self.index_of(arrived) {
            let (_, tokens) = &mut self.arrived[index];
            let fewer = fewer.min(*tokens);
            *tokens -= fewer;
            self.arrived_total -= u128::from(fewer);
        }
    }

    /// Reserves tokens that will be used whether the limit has them or not.
    pub fn overdraw(&mut self, tokens: u64) {
        self.reserved = self.reserved.saturating_add(tokens);
    }

    /// Another limit from here on; what was used stays used.
    pub fn set(&mut self, limit: u64, window: Duration) {
        (self.limit, self.window) = (limit, window);
    }

    /// The most tokens in any window.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Tokens that could be reserved now.
    pub fn available(&mut self, now: Duration) -> u64 {
        self.advance(now);
        self.free()
    }

    /// When what has arrived becomes free again, oldest first, with how much each time: what a forecast goes by.
    pub fn frees(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        let window = self.window + Duration::from_nanos(1);
        self.arrived.iter().map(move |(time, tokens)| (*time + window, *tokens))
    }

    /// The first time after this one at which something becomes free.
    pub fn next_free(&self, after: Duration) -> Option<Duration> {
        let window = self.window + Duration::from_nanos(1);
        let index = self.arrived.partition_point(|(time, _)| *time + window <= after);
        self.arrived.get(index).map(|(time, _)| *time + window)
    }

    /// Tokens that are reserved and have not arrived: nobody knows yet when they become free.
    pub fn reserved(&self) -> u64 {
        self.reserved
    }

    fn advance(&mut self, now: Duration) {
        self.now = self.now.max(now);
        while let Some((time, tokens)) = self.arrived.front() {
            if *time + self.window >= self.now {
                break;
            }
            self.arrived_total -= u128::from(*tokens);
            self.arrived.pop_front();
        }
    }

    /// Where the log has that time. Most are asked for soon after, so the search goes from the end, by steps twice as long each.
    fn index_of(&self, arrived: Duration) -> Option<usize> {
        let (mut from, mut to, mut step) = (self.arrived.len(), self.arrived.len(), 1);
        while from > 0 && self.arrived[from - 1].0 >= arrived {
            (from, to) = (from.saturating_sub(step), from);
            step *= 2;
        }
        while from < to {
            let middle = usize::midpoint(from, to);
            if self.arrived[middle].0 < arrived { from = middle + 1 } else { to = middle }
        }
        self.arrived.get(from).is_some_and(|(time, _)| *time == arrived).then_some(from)
    }

    fn free(&self) -> u64 {
        let used = self.arrived_total + u128::from(self.reserved);
        self.limit.saturating_sub(u64::try_from(used).unwrap_or(u64::MAX))
    }

    fn wait_for(&self, missing: u64) -> Refusal {
        let mut freed = 0_u64;
        for (time, tokens) in &self.arrived {
            freed = freed.saturating_add(*tokens);
            if freed >= missing {
                let free_at = *time + self.window + Duration::from_nanos(1);
                return Refusal::Wait(free_at.saturating_sub(self.now));
            }
        }
        Refusal::Reserved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn spend(log: &mut SlidingLog, now: Duration, tokens: u64) -> Result<(), Refusal> {
        log.reserve(now, tokens)?;
        log.arrive(now, tokens);
        Ok(())
    }

    #[test]
    fn a_window_counts_both_of_its_ends() {
        let mut log = SlidingLog::new(1, at(1000));
        spend(&mut log, at(0), 1).expect("empty at first");
        let Err(Refusal::Wait(wait)) = spend(&mut log, at(1000), 1) else {
            panic!("the window from 0 to 1000 holds one already");
        };
        spend(&mut log, at(1000) + wait, 1).expect("the next window is free");
    }

    #[test]
    fn what_has_not_arrived_counts_without_an_end() {
        let mut log = SlidingLog::new(1, at(1000));
        log.reserve(at(0), 1).expect("empty at first");
        assert_eq!(log.reserve(at(9000), 1), Err(Refusal::Reserved));
        log.arrive(at(9000), 1);
        assert!(log.reserve(at(9999), 1).is_err());
        log.reserve(at(10_001), 1).expect("a window after its arrival");
    }

    #[test]
    fn a_call_that_never_left_gives_its_place_back() {
        let mut log = SlidingLog::new(1, at(1000));
        log.reserve(at(0), 1).expect("empty at first");
        log.release(1);
        log.reserve(at(0), 1).expect("free again");
    }

    #[test]
    fn what_turns_out_to_be_less_is_free_again_at_once_and_only_once() {
        let mut log = SlidingLog::new(10, at(1000));
        spend(&mut log, at(0), 6).expect("empty at first");
        spend(&mut log, at(5), 4).expect("just enough");
        log.correct(at(0), 5);
        assert_eq!(log.available(at(10)), 5);
        log.correct(at(0), 5);
        assert_eq!(log.available(at(10)), 6, "there was only one left");
        log.correct(at(3), 4);
        assert_eq!(log.next_free(at(0)), Some(at(1000) + Duration::from_nanos(1)));
        assert_eq!(log.next_free(at(1_001)), Some(at(1005) + Duration::from_nanos(1)));
        assert_eq!(log.next_free(at(1_006)), None);
        assert_eq!(log.available(at(1_001)), 6, "nothing arrived at that time");
    }

    #[test]
    fn each_time_is_found_wherever_it_stands_and_no_other_is() {
        for many in 1..40 {
            let mut log = SlidingLog::new(10_000, at(1_000_000));
            (0..many).for_each(|time| spend(&mut log, at(2 * time + 1), 10).expect("there is room"));
            for time in 0..=2 * many {
                let before = log.available(at(2 * many));
                log.correct(at(time), 1);
                assert_eq!(log.available(at(2 * many)) - before, time % 2, "{time} of {many}");
            }
        }
    }

    #[test]
    fn what_is_past_all_counting_is_forgotten_after_its_window_too() {
        let mut log = SlidingLog::new(10, at(1000));
        log.charge(at(0), u64::MAX);
        log.charge(at(1), u64::MAX);
        log.correct(at(0), u64::MAX);
        assert_eq!(log.available(at(1_000)), 0);
        assert_eq!(log.available(at(2_001)), 10);
    }

    #[test]
    fn what_was_used_outlives_a_change_of_the_limit() {
        let mut log = SlidingLog::new(10, at(1000));
        spend(&mut log, at(0), 6).expect("empty at first");
        log.set(5, at(2000));
        assert_eq!(log.available(at(1_500)), 0);
        assert_eq!(log.available(at(2_001)), 5);
    }

    #[test]
    fn after_a_restart_the_last_window_counts_as_spent() {
        let mut log = SlidingLog::spent(5, at(1000), at(0));
        assert_eq!(log.available(at(1000)), 0);
        assert_eq!(log.available(at(1001)), 5);
    }
}
