//! How long a thread looks for what comes next before it sleeps.
//!
//! To wake a processor that sleeps takes longer than a small piece of work: 20 µs and more on a virtual machine. Where one thing
//! follows closely on the other, whoever waits for the next does better to look for it. For how long, the waits until now
//! tell: the window grows while they end soon after it, and is shut by one that is longer than it may ever be. So a thread
//! that has little to do hardly looks at all.
//!
//! Source: halt polling of the Linux kernel's KVM (Documentation/virt/kvm/halt-polling.rst), with its factors.

use std::time::Duration;

/// The window after the first short wait.
const FIRST: Duration = Duration::from_micros(10);
/// How much larger the next one is.
const GROWTH: u32 = 2;

/// The window of one thread.
#[derive(Debug, Clone)]
pub struct BusyPoll {
    window: Duration,
    max: Duration,
}

impl BusyPoll {
    /// A window that is never larger than that; of zero, none.
    #[must_use]
    pub const fn new(max: Duration) -> Self {
        Self { window: Duration::ZERO, max }
    }

    /// For how long to look before the next sleep.
    #[must_use]
    pub const fn window(&self) -> Duration {
        self.window
    }

    /// A wait is over that took so long, sleep included.
    pub fn waited(&mut self, span: Duration) {
        if span > self.max {
            self.window = Duration::ZERO;
        } else if span > self.window {
            self.window = (self.window * GROWTH).clamp(FIRST.min(self.max), self.max);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn micros(count: u64) -> Duration {
        Duration::from_micros(count)
    }

    /// The windows after each of these waits.
    fn windows(max: Duration, waits: &[u64]) -> Vec<Duration> {
        let mut poll = BusyPoll::new(max);
        let after = |wait: &u64| {
            poll.waited(micros(*wait));
            poll.window()
        };
        waits.iter().map(after).collect()
    }

    #[test]
    fn the_window_grows_by_doubling_until_waits_end_within_it() {
        assert_eq!(windows(micros(300), &[100; 7]), [10, 20, 40, 80, 160, 160, 160].map(micros));
    }

    #[test]
    fn the_window_never_passes_its_bound() {
        assert_eq!(windows(micros(50), &[50; 5]), [10, 20, 40, 50, 50].map(micros));
        assert_eq!(windows(micros(4), &[4; 2]), [4, 4].map(micros));
    }

    #[test]
    fn a_wait_longer_than_the_bound_shuts_the_window() {
        assert_eq!(windows(micros(50), &[50, 50, 51, 50]), [10, 20, 0, 10].map(micros));
    }

    #[test]
    fn without_a_bound_above_zero_nobody_looks() {
        assert_eq!(windows(Duration::ZERO, &[0, 1, 5]), [Duration::ZERO; 3]);
    }
}
