use std::time::Duration;

/// How times spread.
#[derive(Debug, Default)]
pub(super) struct Spread(Vec<Duration>);

impl FromIterator<Duration> for Spread {
    fn from_iter<I: IntoIterator<Item = Duration>>(times: I) -> Self {
        let mut times: Vec<_> = times.into_iter().collect();
        times.sort_unstable();
        Self(times)
    }
}

impl Spread {
    /// What this part of them is not above, in milliseconds; None where there are none.
    pub(super) fn at(&self, part: f64) -> Option<f64> {
        let place = (self.0.len() as f64 * part).ceil() as usize;
        self.0.get(place.max(1) - 1).map(|time| time.as_secs_f64() * 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_not_above_its_time() {
        let spread: Spread = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!([spread.at(0.5), spread.at(0.99), spread.at(1.0)], [50.0, 99.0, 100.0].map(Some));
        assert_eq!(Spread::default().at(0.5), None);
    }
}
