//! A limit of any day: by slices, so that its log stays short however many calls a day has.

use std::{collections::VecDeque, time::Duration};

/// Slices of a day. What arrives counts until a day after its slice has ended: by up to one slice too long, never too short.
const SLICES: u32 = 288;

/// What was used in the last day. At most [`SLICES`] and two entries.
#[derive(Debug)]
pub(crate) struct DayLog {
    limit: u64,
    day: Duration,
    /// By the time at which each counts no more, the oldest first.
    slices: VecDeque<(Duration, u64)>,
    used: u64,
    reserved: u64,
}

impl DayLog {
    pub(super) fn new(limit: u64, day: Duration) -> Self {
        Self { limit, day, slices: VecDeque::new(), used: 0, reserved: 0 }
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    pub(super) fn set(&mut self, limit: u64, day: Duration) {
        (self.limit, self.day) = (limit, day);
    }

    pub(super) fn available(&mut self, now: Duration) -> u64 {
        while let Some((_, used)) = self.slices.front().filter(|(until, _)| *until <= now) {
            self.used = self.used.saturating_sub(*used);
            self.slices.pop_front();
        }
        self.limit.saturating_sub(self.used.saturating_add(self.reserved))
    }

    pub(super) fn reserve(&mut self, amount: u64) {
        self.reserved = self.reserved.saturating_add(amount);
    }

    pub(super) fn arrive(&mut self, now: Duration, amount: u64) {
        let amount = amount.min(self.reserved);
        self.reserved -= amount;
        self.count(self.counts_until(now), amount);
    }

    pub(super) fn release(&mut self, amount: u64) {
        self.reserved = self.reserved.saturating_sub(amount);
    }

    pub(super) fn charge(&mut self, now: Duration, amount: u64) {
        self.count(self.counts_until(now), amount);
    }

    pub(super) fn correct(&mut self, arrived: Duration, fewer: u64) {
        let until = self.counts_until(arrived);
        if let Ok(index) = self.slices.binary_search_by_key(&until, |(until, _)| *until) {
            let (_, used) = &mut self.slices[index];
            let fewer = fewer.min(*used);
            *used -= fewer;
            self.used = self.used.saturating_sub(fewer);
        }
    }

    pub(super) fn reserved(&self) -> u64 {
        self.reserved
    }

    pub(super) fn frees(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        self.slices.iter().copied()
    }

    /// Counts what was used before, until the time at which it counts no more.
    pub(super) fn count(&mut self, until: Duration, amount: u64) {
        if amount == 0 {
            return;
        }
        self.used = self.used.saturating_add(amount);
        match self.slices.binary_search_by_key(&until, |(until, _)| *until) {
            Ok(index) => self.slices[index].1 = self.slices[index].1.saturating_add(amount),
            Err(index) => self.slices.insert(index, (until, amount)),
        }
    }

    fn counts_until(&self, arrived: Duration) -> Duration {
        let slice = (self.day / SLICES).as_nanos().max(1);
        let end = (arrived.as_nanos() / slice + 1) * slice;
        Duration::from_nanos(u64::try_from(end).unwrap_or(u64::MAX / 2)).saturating_add(self.day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn what_arrives_counts_for_a_day_at_least_and_a_slice_longer_at_most() {
        let mut log = DayLog::new(10, 24 * HOUR);
        log.reserve(4);
        log.arrive(HOUR, 4);
        assert_eq!(log.available(25 * HOUR), 6);
        assert_eq!(log.available(25 * HOUR + HOUR / 12), 10);
    }

    #[test]
    fn its_entries_are_bounded_however_many_calls_there_are() {
        let mut log = DayLog::new(u64::MAX, 24 * HOUR);
        for second in 0..200_000 {
            log.charge(Duration::from_secs(second), 1);
            log.available(Duration::from_secs(second));
        }
        assert!(log.slices.len() <= SLICES as usize + 2, "{}", log.slices.len());
        assert!(log.used >= 86_400, "a whole day is there");
    }

    #[test]
    fn no_amount_is_too_much_to_count() {
        let mut log = DayLog::new(10, 24 * HOUR);
        log.charge(HOUR, u64::MAX);
        log.charge(2 * HOUR, u64::MAX);
        assert_eq!(log.available(3 * HOUR), 0);
        assert_eq!(log.available(60 * HOUR), 10);
    }

    #[test]
    fn what_turns_out_to_be_less_is_free_at_once() {
        let mut log = DayLog::new(10, 24 * HOUR);
        log.charge(HOUR, 8);
        log.correct(HOUR, 5);
        assert_eq!(log.available(2 * HOUR), 7);
    }
}
