//! The provider's strict count: what came in any window, whether it was refused or not.
//!
//! It knows no limits, so that nobody has to believe those who keep them: a figure above a limit is a broken promise.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::limits::Kind;
use crate::counts::Most;

/// The last window, and the most that any window held. A window has both of its ends.
#[derive(Debug)]
pub(crate) struct Tally {
    window: Duration,
    windows: [Window; 4],
}

#[derive(Debug, Default)]
struct Window {
    entries: VecDeque<(Instant, u64)>,
    sum: u64,
    most: u64,
}

impl Tally {
    pub(crate) fn new(window: Duration) -> Self {
        Self { window, windows: Default::default() }
    }

    pub(crate) fn set(&mut self, window: Duration) {
        self.window = window;
    }

    pub(crate) fn arrive(&mut self, now: Instant) {
        self.add(Kind::Requests, now, 1);
    }

    pub(crate) fn read(&mut self, now: Instant, tokens: u64) {
        self.add(Kind::Tokens, now, tokens);
        self.add(Kind::Input, now, tokens);
    }

    pub(crate) fn write(&mut self, now: Instant, tokens: u64) {
        self.add(Kind::Tokens, now, tokens);
        self.add(Kind::Output, now, tokens);
    }

    pub(crate) fn most(&self) -> Most {
        let most = |kind: Kind| self.windows[kind as usize].most;
        Most {
            requests: most(Kind::Requests),
            tokens: most(Kind::Tokens),
            input_tokens: most(Kind::Input),
            output_tokens: most(Kind::Output),
        }
    }

    /// Begins the count anew; what is in the last window stays in it.
    pub(crate) fn reset(&mut self) {
        self.windows.iter_mut().for_each(|window| window.most = 0);
    }

    fn add(&mut self, kind: Kind, now: Instant, amount: u64) {
        let window = &mut self.windows[kind as usize];
        while let Some((at, gone)) = window.entries.front() {
            if now.saturating_duration_since(*at) <= self.window {
                break;
            }
            window.sum -= gone;
            window.entries.pop_front();
        }
        if amount > 0 {
            window.entries.push_back((now, amount));
        }
        window.sum += amount;
        window.most = window.most.max(window.sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_of_any_window_is_kept() {
        let (mut tally, start) = (Tally::new(Duration::from_secs(60)), Instant::now());
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        for seconds in [0, 30, 60, 200] {
            tally.arrive(at(seconds));
        }
        tally.read(at(200), 7);
        tally.write(at(201), 5);
        let most = Most { requests: 3, tokens: 12, input_tokens: 7, output_tokens: 5 };
        assert_eq!(tally.most(), most);
    }
}
