use std::time::Duration;

/// Times, or other figures, of which only their place among the others counts.
#[derive(Debug, Clone, Default)]
pub struct Spread(Vec<f64>);

impl Spread {
    /// The figure below which a share of all lie; 0 where there are none.
    pub fn below(&self, share: f64) -> f64 {
        let place = (self.0.len() as f64 * share) as usize;
        self.0.get(place.min(self.0.len().saturating_sub(1))).copied().unwrap_or_default()
    }

    /// Half lie below.
    pub fn median(&self) -> f64 {
        self.below(0.5)
    }

    /// All but one in a hundred lie below.
    pub fn p99(&self) -> f64 {
        self.below(0.99)
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<f64> for Spread {
    fn from_iter<I: IntoIterator<Item = f64>>(figures: I) -> Self {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        Self(figures)
    }
}

/// In milliseconds.
impl FromIterator<Duration> for Spread {
    fn from_iter<I: IntoIterator<Item = Duration>>(times: I) -> Self {
        times.into_iter().map(|time| time.as_secs_f64() * 1e3).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_among_a_hundred_is_its_own_number() {
        let spread: Spread = (0..100).rev().map(f64::from).collect();
        assert_eq!((spread.median(), spread.p99()), (50.0, 99.0));
        assert_eq!(Spread::default().p99(), 0.0);
    }
}
