//! When cases arrive: as requests did in the trace of a production service, at the pace of the day that is asked about.

use std::cmp::Reverse;
use std::time::Duration;

use holdfast_testkit::data;

/// How many times as fast as the real day everything here is.
pub const SPEED: u32 = 20;
/// The day's cases.
pub const CASES_A_DAY: u32 = 12_000;

const WORKING_DAY: Duration = Duration::from_secs(8 * 3_600);
/// Bursts are told apart by their most in so long.
const BURST: Duration = Duration::from_secs(5);
const TRACE: &str = "llm-trace/azure-2023-conv.csv";

/// A time of the real day, as it is here.
pub fn here(time: Duration) -> Duration {
    time / SPEED
}

/// A part of the day: the one with the day's own pace and, among those, with the greatest burst.
#[derive(Debug)]
pub struct Stretch {
    begins: Duration,
    length: Duration,
    arrivals: Vec<Duration>,
}

impl Stretch {
    /// Takes the trace at the day's pace and finds the part; None where the trace is not there.
    ///
    /// # Panics
    /// Where it is not what it should be.
    pub fn of_the_day(length: Duration) -> Option<Self> {
        let text = std::fs::read_to_string(data(TRACE)?).expect("the trace can be read");
        let times: Vec<f64> =
            text.lines().skip(1).map(|line| seconds(line).expect("a line begins with its time")).collect();
        let (first, last) = (times.first().expect("a trace has lines"), times.last().expect("a trace has lines"));
        let pace = f64::from(CASES_A_DAY) / here(WORKING_DAY).as_secs_f64();
        let scale = times.len() as f64 / (last - first) / pace;
        let times: Vec<Duration> = times.iter().map(|time| Duration::from_secs_f64((time - first) * scale)).collect();
        let wanted = (pace * length.as_secs_f64()).round() as usize;
        let ends = times.last()?.saturating_sub(length).as_secs();
        let begins = (0..ends).map(Duration::from_secs).min_by_key(|begins| {
            let part = within(&times, *begins, length);
            (part.len().abs_diff(wanted), Reverse(most(part, BURST)))
        })?;
        let arrivals = within(&times, begins, length).iter().map(|time| *time - begins).collect();
        Some(Self { begins, length, arrivals })
    }

    /// Arrivals at one pace, for where no trace is needed.
    pub fn even(cases: u32, a_second: u32) -> Self {
        let gap = Duration::from_secs(1) / a_second;
        Self { begins: Duration::ZERO, length: gap * cases, arrivals: (0..cases).map(|case| gap * case).collect() }
    }

    /// Where it begins, in the trace at the day's pace.
    pub const fn begins(&self) -> Duration {
        self.begins
    }

    /// How long it lasts here.
    pub const fn length(&self) -> Duration {
        self.length
    }

    /// When each case arrives, from the beginning on.
    pub fn arrivals(&self) -> &[Duration] {
        &self.arrivals
    }

    /// The most cases in five seconds.
    pub fn burst(&self) -> usize {
        most(&self.arrivals, BURST)
    }
}

/// The time of a line such as `2023-11-16 18:15:46.6805900,374,44`, in seconds of its day.
fn seconds(line: &str) -> Option<f64> {
    let (_, time) = line.split(',').next()?.split_once(' ')?;
    let mut parts = time.split(':').map(str::parse::<f64>);
    let mut next = || parts.next()?.ok();
    Some(next()? * 3_600.0 + next()? * 60.0 + next()?)
}

fn within(times: &[Duration], begins: Duration, length: Duration) -> &[Duration] {
    let place = |time: Duration| times.partition_point(|other| *other < time);
    &times[place(begins)..place(begins + length)]
}

fn most(times: &[Duration], span: Duration) -> usize {
    let from_each =
        times.iter().enumerate().map(|(place, begins)| times[place..].partition_point(|time| *time < *begins + span));
    from_each.max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_begins_with_its_time() {
        assert_eq!(seconds("2023-11-16 18:15:46.5000000,374,44"), Some(65_746.5));
        assert_eq!(seconds("TIMESTAMP,ContextTokens"), None);
    }

    #[test]
    fn a_burst_is_the_most_within_a_span() {
        let times = [0, 4, 5, 6, 8, 20].map(Duration::from_secs);
        assert_eq!(most(&times, BURST), 4);
        assert_eq!(within(&times, Duration::from_secs(4), BURST).len(), 4);
        assert_eq!(most(&[], BURST), 0);
    }

    #[test]
    fn a_stretch_of_the_trace_has_the_pace_of_the_day() {
        let Some(stretch) = Stretch::of_the_day(Duration::from_secs(60)) else { return };
        assert_eq!(stretch.arrivals().len(), 500, "12,000 in 8 hours, 20 times as fast, for a minute");
        assert!(
            stretch.arrivals().is_sorted() && stretch.arrivals().last().is_some_and(|last| *last < stretch.length())
        );
        assert!(stretch.burst() > 50, "{} in 5 s are no burst at 8.3 a second", stretch.burst());
    }
}
