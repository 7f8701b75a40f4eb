//! What one process knows of a circuit that processes share, besides its breaker.

use std::time::Duration;

use tokio::time::Instant;

/// So long a refusal is believed where nobody knows when a probe's place becomes free. News end it earlier.
const PAUSE: Duration = Duration::from_millis(100);

/// The place of this process among those that share a circuit.
#[derive(Debug, Default)]
pub(super) struct Seat {
    /// The version that was seen last; 0 where there is none.
    seen: u64,
    /// The breaker's generation that says the same.
    told: u64,
    /// The stamp of the operator's word that the others know.
    pub(super) word_told: i64,
    /// The connection over which the circuit was looked at first; 0: none.
    pub(super) link: u64,
    /// The breaker's generation that the state service has, or need not have; none before it was asked.
    pub(super) kept: Option<u64>,
    /// The breaker's generation that was adopted, but comes of a call of our own.
    pub(super) ours: u64,
    /// Questions for a probe under way.
    asking: u32,
    /// No probe is to be had before.
    not_before: Option<Instant>,
}

impl Seat {
    pub(super) const fn seen(&self) -> u64 {
        self.seen
    }

    /// Whether a version is news. `asked_at` is what had been seen when the question was sent: an answer that was
    /// overtaken counts only where it is newer all the same.
    pub(super) fn see(&mut self, version: u64, asked_at: u64) -> bool {
        let fresh = version > self.seen || (self.seen == asked_at && version != self.seen);
        if fresh {
            self.seen = version;
            self.not_before = None;
        }
        fresh
    }

    /// Nothing is known of the circuit any more: neither of its standing nor of an operator's word.
    pub(super) fn forget(&mut self, asked_at: u64) {
        if self.seen == asked_at {
            self.seen = 0;
            self.word_told = 0;
            // No generation is this large: whatever is worth telling is told again.
            self.told = u64::MAX;
        }
    }

    pub(super) const fn is_told(&self, generation: u64) -> bool {
        self.told == generation
    }

    pub(super) const fn told(&mut self, generation: u64) {
        self.told = generation;
    }

    /// Whether a probe may be asked for now; else when to come back. No more ask at once than there are probes.
    pub(super) fn ask(&mut self, probes: u32, now: Instant) -> Result<u64, Duration> {
        self.wait(probes, now).map_or(Ok(()), Err)?;
        self.asking += 1;
        Ok(self.seen)
    }

    pub(super) fn wait(&self, probes: u32, now: Instant) -> Option<Duration> {
        if let Some(left) = self.not_before.map(|at| at.saturating_duration_since(now)).filter(|left| !left.is_zero()) {
            return Some(left);
        }
        (self.asking >= probes).then_some(PAUSE)
    }

    pub(super) const fn answered(&mut self) {
        self.asking -= 1;
    }

    /// There was none. `open` says that there will be none before; in half-open a place may become free at any time.
    pub(super) fn refused(&mut self, wait: Duration, open: bool, now: Instant) {
        let wait = if open || (!wait.is_zero() && wait < PAUSE) { wait } else { PAUSE };
        self.not_before = Some(now + wait);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_was_overtaken_changes_nothing() {
        let mut seat = Seat::default();
        assert!(seat.see(10, 0));
        assert!(seat.see(20, 10), "news");
        assert!(!seat.see(15, 10), "an older answer to an older question");
        assert!(!seat.see(20, 20), "nothing new");
        assert!(seat.see(15, 20), "a Redis that lost its data says so to the next question");
    }

    #[test]
    fn no_more_ask_at_once_than_there_are_probes_and_nobody_asks_before_the_time() {
        let (mut seat, now) = (Seat::default(), Instant::now());
        assert!(seat.ask(2, now).is_ok() && seat.ask(2, now).is_ok());
        assert_eq!(seat.ask(2, now), Err(PAUSE));
        seat.answered();
        seat.refused(Duration::from_secs(5), true, now);
        assert_eq!(seat.ask(2, now), Err(Duration::from_secs(5)));
        assert!(seat.see(1, 0), "news end the wait");
        assert!(seat.ask(2, now).is_ok());
    }
}
