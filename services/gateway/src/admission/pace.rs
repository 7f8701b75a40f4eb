use std::time::Duration;

/// How often a place becomes free: the mean time between those who leave.
///
/// No I/O and no clock.
#[derive(Debug, Default)]
pub(super) struct Pace {
    left_at: Option<Duration>,
    mean: Option<Duration>,
}

/// What is told before anybody has left.
const UNKNOWN: Duration = Duration::from_millis(100);

/// The longest hint, and the longest gap that counts: a quiet hour says nothing about a full one.
const GAP_MAX: Duration = Duration::from_secs(5);

impl Pace {
    pub(super) fn left(&mut self, now: Duration) {
        if let Some(before) = self.left_at.replace(now) {
            let gap = now.saturating_sub(before).min(GAP_MAX);
            self.mean = Some(self.mean.map_or(gap, |mean| mean.mul_f64(0.875) + gap.mul_f64(0.125)));
        }
    }

    /// When the next place may be free, where all were taken at `full_since`. A gap that lasts for longer than the mean
    /// already will last for about as long again.
    pub(super) fn next(&self, full_since: Duration, now: Duration) -> Duration {
        let since = self.left_at.unwrap_or_default().max(full_since);
        self.mean.unwrap_or(UNKNOWN).max(now.saturating_sub(since).min(GAP_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tells_the_mean_gap_between_those_who_leave() {
        let mut pace = Pace::default();
        assert_eq!(pace.next(Duration::ZERO, Duration::ZERO), UNKNOWN);
        for second in 0..20 {
            pace.left(Duration::from_secs(second));
        }
        assert_eq!(pace.next(Duration::ZERO, Duration::from_secs(19)), Duration::from_secs(1));
        pace.left(Duration::from_secs(3_600));
        let next = pace.next(Duration::ZERO, Duration::from_secs(3_600));
        assert!(next < Duration::from_secs(2), "an hour of quiet is one gap of 5 s: {next:?}");
    }

    #[test]
    fn while_nobody_leaves_it_tells_longer_and_longer() {
        let mut pace = Pace::default();
        for milli in 0..20 {
            pace.left(Duration::from_millis(milli));
        }
        let after = |quiet: u64| pace.next(Duration::from_millis(10), Duration::from_millis(19 + quiet));
        assert_eq!(after(0), Duration::from_millis(1));
        assert_eq!(after(700), Duration::from_millis(700));
        assert_eq!(after(60_000), GAP_MAX);
        let hour = Duration::from_secs(3_600);
        assert_eq!(pace.next(hour, hour), Duration::from_millis(1), "while there was room nobody waited");
    }
}
