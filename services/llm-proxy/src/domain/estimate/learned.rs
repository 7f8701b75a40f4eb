//! A rate that is learned from what was seen lately, on the safe side: nearly all of it would have fitted.

/// What is remembered.
const SEEN: usize = 64;
/// With fewer the constant holds that it began with, or more where more was seen.
const SEEN_MIN: usize = 8;
/// So many in a hundred fit.
const FIT_PERCENT: usize = 95;

#[derive(Debug)]
pub(super) struct Learned {
    start: f64,
    bounds: (f64, f64),
    /// What is added to what was seen.
    margin: f64,
    seen: [f64; SEEN],
    count: usize,
    rate: f64,
}

impl Learned {
    pub(super) const fn new(start: f64, bounds: (f64, f64), margin: f64) -> Self {
        Self { start, bounds, margin, seen: [0.0; SEEN], count: 0, rate: start }
    }

    /// What so much is thought to come to.
    pub(super) fn of(&self, units: u64) -> u64 {
        (self.rate * units as f64).ceil() as u64
    }

    pub(super) fn see(&mut self, rate: f64) {
        self.seen[self.count % SEEN] = rate;
        self.count += 1;
        let mut seen = self.seen;
        let seen = &mut seen[..self.count.min(SEEN)];
        let at = (seen.len() * FIT_PERCENT / 100).min(seen.len() - 1);
        let (_, rate, _) = seen.select_nth_unstable_by(at, f64::total_cmp);
        let rate = *rate * self.margin;
        let rate = if self.count < SEEN_MIN { rate.max(self.start) } else { rate };
        self.rate = rate.clamp(self.bounds.0, self.bounds.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearly_all_of_what_was_seen_fits_and_little_is_left_over() {
        let mut learned = Learned::new(0.4, (0.1, 1.0), 1.05);
        for step in 0..1_000_u32 {
            learned.see(0.2 + f64::from(step * 37 % 100) / 1_000.0);
        }
        assert!((280..=315).contains(&learned.of(1_000)), "{}", learned.of(1_000));
    }

    #[test]
    fn a_few_change_nothing_unless_there_was_more() {
        let mut learned = Learned::new(0.4, (0.1, 1.0), 1.0);
        (0..7).for_each(|_| learned.see(0.2));
        assert_eq!(learned.of(10), 4);
        learned.see(0.2);
        assert_eq!(learned.of(10), 2);
        let mut short = Learned::new(0.4, (0.1, 1.0), 1.0);
        short.see(0.8);
        assert_eq!(short.of(10), 8);
    }

    #[test]
    fn nonsense_is_bounded_and_forgotten() {
        let mut learned = Learned::new(0.4, (0.1, 1.0), 1.0);
        (0..SEEN).for_each(|_| learned.see(50.0));
        assert_eq!(learned.of(10), 10);
        (0..SEEN).for_each(|_| learned.see(0.3));
        assert_eq!(learned.of(10), 3);
    }
}
