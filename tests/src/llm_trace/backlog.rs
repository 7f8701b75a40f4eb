//! When calls waited, by when they were sent and when the provider saw them, and what of the limit was used meanwhile.

use std::collections::HashMap;
use std::time::Duration;

use holdfast_simulator::ModelCall;

/// It is looked so often.
const LOOK_US: u64 = 5_000;
/// A call that is under way for less does not wait.
const UNDER_WAY_US: f64 = 20_000.0;
/// Tokens that are written at once, for a log that knows when they began and ended.
const WRITTEN: u64 = 8;

/// The moments at which calls waited.
#[derive(Debug)]
pub(super) struct Backlog {
    /// By the provider's clock, in their order.
    looks_us: Vec<u64>,
}

impl Backlog {
    /// Calls with the times at which their callers sent them, by their marks.
    pub(super) fn of(calls: &[ModelCall], sent_us: &HashMap<&str, f64>) -> Self {
        let waits = calls.iter().filter_map(|call| {
            let from = sent_us.get(call.mark.as_str())? + UNDER_WAY_US;
            (from < call.at_us as f64).then_some((from as u64 / LOOK_US + 1, call.at_us / LOOK_US))
        });
        // How many begin to wait at each look, and how many end to.
        let mut change = HashMap::<u64, i64>::new();
        for (from, until) in waits.filter(|(from, until)| from <= until) {
            *change.entry(from).or_default() += 1;
            *change.entry(until + 1).or_default() -= 1;
        }
        let mut change: Vec<_> = change.into_iter().collect();
        change.sort_unstable();
        let mut waiting = 0;
        let spans = change.windows(2).flat_map(|pair| {
            let [(from, begin), (until, _)] = *pair else { unreachable!("two of them") };
            waiting += begin;
            if waiting > 0 { from..until } else { from..from }
        });
        Self { looks_us: spans.map(|look| look * LOOK_US).collect() }
    }

    /// How long calls waited, all in all.
    pub(super) fn lasts(&self) -> Duration {
        Duration::from_micros(self.looks_us.len() as u64 * LOOK_US)
    }

    /// What the last window held of the limit, on average over the looks.
    pub(super) fn used(&self, calls: &[ModelCall], limit: u64, window: Duration) -> f64 {
        let window_us = window.as_micros() as u64;
        let mut used: Vec<(u64, i64)> = calls.iter().flat_map(events).map(|(at, tokens)| (at, tokens as i64)).collect();
        let gone: Vec<_> = used.iter().map(|(at, tokens)| (at + window_us, -tokens)).collect();
        used.extend(gone);
        used.sort_unstable();
        let (mut next, mut held, mut sum) = (0, 0_i64, 0.0);
        for look in &self.looks_us {
            while let Some((_, tokens)) = used.get(next).filter(|(at, _)| at <= look) {
                held += tokens;
                next += 1;
            }
            sum += held as f64 / limit as f64;
        }
        sum / self.looks_us.len() as f64
    }
}

/// When a call's tokens counted: the prompt's on arrival, the answer's evenly until its end.
fn events(call: &ModelCall) -> impl Iterator<Item = (u64, u64)> {
    let (at, written) = (call.at_us, call.output_tokens);
    let lasts = call.ended_us.unwrap_or(at).saturating_sub(at);
    let pieces = (0..written).step_by(WRITTEN as usize).map(move |from| {
        let tokens = WRITTEN.min(written - from);
        (at + lasts * (from + tokens) / written, tokens)
    });
    [(at, call.input_tokens)].into_iter().chain(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(mark: &str, at_us: u64, input_tokens: u64) -> ModelCall {
        ModelCall { mark: mark.into(), at_us, ended_us: Some(at_us), input_tokens, ..ModelCall::default() }
    }

    #[test]
    fn what_is_used_while_nobody_waits_does_not_count() {
        let calls = [call("a", 0, 80), call("b", 1_000_000, 60)];
        let sent = HashMap::from([("a", 0.0), ("b", 480_000.0)]);
        let backlog = Backlog::of(&calls, &sent);
        assert_eq!(backlog.lasts(), Duration::from_millis(500), "from half a second on, to the second");
        let used = backlog.used(&calls, 100, Duration::from_millis(750));
        assert!((used - 0.404).abs() < 0.01, "80 of 100 for half of the time, then none, then 60: {used}");
    }
}
