//! What the provider's log shows of a backlog that lasted from its first call to its last.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::time::Duration;

use holdfast_simulator::ModelCall;

/// A request that was written has arrived after this long, as our side counts it.
const TRANSIT_US: u64 = 500_000;

/// What the provider allows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowed {
    pub(super) at_once: usize,
    /// So many in so long.
    pub(super) window: Option<(usize, Duration)>,
}

/// Calls by their arrival.
#[derive(Debug)]
pub(super) struct Log {
    /// When each arrived and ended, in microseconds.
    calls: Vec<(u64, u64)>,
}

impl Log {
    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    pub(super) fn new(calls: &[ModelCall]) -> Self {
        let times = calls.iter().filter(|call| call.refused_by.is_none());
        let mut calls: Vec<_> = times.map(|call| (call.at_us, call.ended_us.unwrap_or(call.at_us))).collect();
        calls.sort_unstable();
        Self { calls }
    }

    /// From the first arrival to the last.
    pub(super) fn took(&self) -> Duration {
        let times = self.calls.first().zip(self.calls.last());
        Duration::from_micros(times.map_or(0, |((first, _), (last, _))| last - first))
    }

    /// The time in which the limits allow the first so many calls, with their lengths, as a part of the time that these took.
    pub(super) fn used(&self, allowed: &Allowed, first: usize) -> f64 {
        let calls = &self.calls[..first];
        let mut ends = BinaryHeap::new();
        let mut ideal: Vec<u64> = Vec::with_capacity(calls.len());
        for (place, (arrived, ended)) in calls.iter().enumerate() {
            let free = if ends.len() < allowed.at_once { 0 } else { ends.pop().map_or(0, |Reverse(end)| end) };
            let window =
                allowed.window.and_then(|(most, window)| Some(ideal[place.checked_sub(most)?] + micros(window)));
            let begins = free.max(window.unwrap_or(0));
            ends.push(Reverse(begins + (ended - arrived)));
            ideal.push(begins);
        }
        let (ideal, took) = (ideal.last().copied(), calls.last().zip(calls.first()));
        ideal.zip(took).map_or(0.0, |(ideal, (last, first))| ideal as f64 / (last.0 - first.0) as f64)
    }

    /// How long each of these arrivals came after the moment at which the limits allowed it, as far as our side could know.
    pub(super) fn late(&self, allowed: &Allowed, which: Range<usize>) -> Vec<Duration> {
        let mut ends: Vec<u64> = self.calls.iter().map(|(_, ended)| *ended).collect();
        let mut certain: Vec<u64> =
            self.calls.iter().map(|(arrived, ended)| (*ended).min(arrived + TRANSIT_US)).collect();
        ends.sort_unstable();
        certain.sort_unstable();
        let late = |(place, (arrived, _)): (usize, &(u64, u64))| {
            let free = place.checked_sub(allowed.at_once).map(|ended| ends[ended]);
            let window =
                allowed.window.and_then(|(most, window)| Some(certain[place.checked_sub(most)?] + micros(window)));
            let from = free.max(window)?;
            Some(Duration::from_micros(arrived.saturating_sub(from)))
        };
        self.calls.iter().enumerate().take(which.end).skip(which.start).filter_map(late).collect()
    }
}

fn micros(time: Duration) -> u64 {
    time.as_micros().try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls of 10 µs each, by their arrival.
    fn log(arrivals: &[u64]) -> Log {
        Log { calls: arrivals.iter().map(|at| (*at, at + 10)).collect() }
    }

    #[test]
    fn nobody_is_late_who_comes_when_a_place_is_free() {
        let (log, two) = (log(&[0, 0, 10, 13, 23]), Allowed { at_once: 2, window: None });
        let late: Vec<_> = log.late(&two, 0..5).iter().map(Duration::as_micros).collect();
        assert_eq!(late, [0, 3, 3]);
        assert_eq!(log.late(&two, 4..5).len(), 1);
        assert!((log.used(&two, 5) - 20.0 / 23.0).abs() < 1e-9);
        assert!((log.used(&two, 3) - 1.0).abs() < 1e-9, "whoever came late came after these");
    }

    #[test]
    fn a_window_holds_up_who_comes_too_early_for_it() {
        let window = Some((2, Duration::from_micros(100)));
        let (log, two) = (log(&[0, 1, 112, 112]), Allowed { at_once: 2, window });
        let late: Vec<_> = log.late(&two, 0..5).iter().map(Duration::as_micros).collect();
        assert_eq!(late, [2, 1], "one window after an answer began");
        assert!((log.used(&two, 4) - 100.0 / 112.0).abs() < 1e-9, "and none after an arrival");
    }
}
