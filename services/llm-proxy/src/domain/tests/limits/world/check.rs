//! What the provider would have counted.

use super::*;

impl World {
    pub(super) fn check(&self) {
        for (number, limits) in self.keys.iter().enumerate() {
            self.check_limits(&limits.own, limits.window, |seen| seen.key == number);
            for (model, of_model) in &limits.models {
                let lane = NAMES.iter().position(|name| name == model).expect("a model of ours");
                let of = |seen: &Seen| seen.key == number && usize::from(seen.lane.0) == lane;
                self.check_limits(of_model, limits.window, of);
            }
        }
    }

    fn check_limits(&self, limits: &ModelLimits, window: Duration, of: impl Fn(&Seen) -> bool) {
        let seen: Vec<_> = self.seen.iter().filter(|seen| seen.happened && of(seen)).collect();
        let written = |seen: &Seen| if seen.early { seen.arrived } else { seen.ended };
        let requests = seen.iter().filter_map(|seen| Some((seen.arrived?, 1)));
        let input = seen.iter().filter_map(|seen| Some((seen.arrived?, seen.used.input)));
        let output = seen.iter().filter_map(|seen| Some((written(seen)?, seen.used.output)));
        within(limits.requests_per_minute.map(u64::from), window, requests.clone(), "requests");
        within(limits.requests_per_day, window * 1_440, requests, "requests in a day");
        within(limits.input_tokens_per_minute, window, input.clone(), "tokens read");
        within(limits.output_tokens_per_minute, window, output.clone(), "tokens written");
        within(limits.tokens_per_minute, window, input.chain(output), "tokens");
        for at in seen.iter().map(|seen| seen.from) {
            let there = |seen: &&&Seen| seen.from <= at && seen.ended.is_none_or(|ended| ended > at);
            let at_once = seen.iter().filter(there).count();
            assert!(limits.concurrency.is_none_or(|most| at_once <= most as usize), "{at_once} at once");
        }
    }
}

/// In no window, both of its ends included, is there more than the limit.
fn within(limit: Option<u64>, window: Duration, uses: impl Iterator<Item = (Duration, u64)>, what: &str) {
    let Some(limit) = limit else { return };
    let mut uses: Vec<_> = uses.collect();
    uses.sort_unstable();
    let (mut first, mut sum) = (0, 0);
    for (at, amount) in &uses {
        sum += amount;
        while *at - uses[first].0 > window {
            sum -= uses[first].1;
            first += 1;
        }
        assert!(sum <= limit, "{sum} {what} in the window that ends at {at:?}, and {limit} are allowed");
    }
}
