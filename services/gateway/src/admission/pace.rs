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

    /// When the next place may be free.
    pub(super) fn next(&self) -> Duration {
        self.mean.unwrap_or(UNKNOWN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tells_the_mean_gap_between_those_who_leave() {
        let mut pace = Pace::default();
        assert_eq!(pace.next(), UNKNOWN);
        for second in 0..20 {
            pace.left(Duration::from_secs(second));
        }
        assert_eq!(pace.next(), Duration::from_secs(1));
        pace.left(Duration::from_secs(3_600));
        assert!(pace.next() < Duration::from_secs(2), "an hour of quiet is one gap of 5 s");
    }
}
