//! Scales whose marks are round numbers.

use crate::report::numbers::{self, Unit};

/// So many spaces between marks at the most.
const SPACES: f64 = 4.0;
const TIME_SPACES: f64 = 6.0;
/// Steps of time that people count in, in seconds.
const TIME_STEPS: [f64; 19] = [
    0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_200.0, 1_800.0, 3_600.0,
    7_200.0, 14_400.0,
];
/// A wait as long as this is told in seconds.
const TOLD_IN_SECONDS_MS: f64 = 2_000.0;

/// From nothing to a round number, with marks between.
#[derive(Debug)]
pub(super) struct Axis {
    step: f64,
    spaces: u32,
    unit: Unit,
    is_time: bool,
}

impl Axis {
    /// One that reaches what is given.
    pub(super) fn of(unit: Unit, most: f64) -> Self {
        let least = if unit == Unit::Count { 1.0 } else { f64::MIN_POSITIVE };
        let step = if most > 0.0 { round_step(most / SPACES).max(least) } else { 1.0 };
        Self { step, spaces: spaces(most, step), unit, is_time: false }
    }

    /// The one along the bottom, in seconds.
    pub(super) fn of_time(lasts: f64) -> Self {
        let fits = |step: &f64| lasts / step <= TIME_SPACES;
        let step = TIME_STEPS.into_iter().find(fits).unwrap_or_else(|| round_step(lasts / TIME_SPACES));
        Self { step, spaces: spaces(lasts, step), unit: Unit::Seconds, is_time: true }
    }

    /// Where it ends.
    pub(super) fn top(&self) -> f64 {
        self.step * f64::from(self.spaces)
    }

    /// Its marks, from nothing on.
    pub(super) fn ticks(&self) -> impl Iterator<Item = (f64, String)> {
        (0..=self.spaces).map(|place| {
            let value = self.step * f64::from(place);
            (value, self.label(value))
        })
    }

    /// In which unit it tells times; None where it tells none.
    pub(super) fn time_words(&self) -> Option<&'static str> {
        match self.unit {
            Unit::Millis if self.in_seconds() => Some("seconds"),
            Unit::Millis => Some("milliseconds"),
            Unit::Seconds => Some("seconds"),
            Unit::PerSecond | Unit::Count | Unit::Share => None,
        }
    }

    fn in_seconds(&self) -> bool {
        self.top() >= TOLD_IN_SECONDS_MS
    }

    fn label(&self, value: f64) -> String {
        match self.unit {
            _ if self.is_time => moment(value),
            Unit::Millis if self.in_seconds() => plain(value / 1e3),
            _ => plain(value),
        }
    }
}

fn spaces(most: f64, step: f64) -> u32 {
    // A hair less, so that 0.3 of steps of 0.1 are three.
    ((most / step - 1e-9).ceil() as u32).max(1)
}

/// 1, 2 or 5, times a power of ten.
fn round_step(wanted: f64) -> f64 {
    let power = 10_f64.powf(wanted.log10().floor());
    let step = [1.0, 2.0, 5.0].into_iter().find(|step| wanted <= step * power * (1.0 + 1e-9));
    step.unwrap_or(10.0) * power
}

fn plain(value: f64) -> String {
    let rounded = (value * 1e4).round() / 1e4;
    if rounded.fract() == 0.0 { numbers::count(rounded as u64) } else { rounded.to_string() }
}

/// A time of the run.
fn moment(seconds: f64) -> String {
    match seconds {
        0.0 => "0".into(),
        hours if hours % 3_600.0 == 0.0 => format!("{} h", plain(hours / 3_600.0)),
        minutes if minutes % 60.0 == 0.0 => format!("{} min", plain(minutes / 60.0)),
        minutes if minutes > 60.0 => format!("{}:{:02}", minutes as u64 / 60, minutes as u64 % 60),
        few => format!("{} s", plain(few)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks().map(|(_, label)| label).collect()
    }

    #[test]
    fn marks_are_round_and_reach_the_most() {
        assert_eq!(labels(&Axis::of(Unit::Count, 4_200.0)), ["0", "2,000", "4,000", "6,000"]);
        assert_eq!(labels(&Axis::of(Unit::PerSecond, 0.7)), ["0", "0.2", "0.4", "0.6", "0.8"]);
        assert_eq!(labels(&Axis::of(Unit::Count, 10.0)), ["0", "5", "10"]);
    }

    #[test]
    fn what_is_counted_has_no_fractions() {
        assert_eq!(labels(&Axis::of(Unit::Count, 1.0)), ["0", "1"]);
        assert_eq!(labels(&Axis::of(Unit::Count, 0.0)), ["0", "1"]);
    }

    #[test]
    fn long_waits_are_told_in_seconds() {
        let axis = Axis::of(Unit::Millis, 31_000.0);
        assert_eq!((axis.time_words(), labels(&axis).join(" ")), (Some("seconds"), "0 10 20 30 40".to_owned()));
    }

    #[test]
    fn time_goes_by_in_steps_that_people_count_in() {
        assert_eq!(labels(&Axis::of_time(95.0)), ["0", "20 s", "40 s", "1 min", "1:20", "1:40"]);
        assert_eq!(labels(&Axis::of_time(0.0)).len(), 2);
        assert!(labels(&Axis::of_time(1e6)).len() <= 8);
    }
}
