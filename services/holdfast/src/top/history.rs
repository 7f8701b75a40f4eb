//! The last pages of one process: what they say of the last seconds.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::metrics::{Page, Sample};

/// Rates and latencies are those of so long.
pub(crate) const WINDOW: Duration = Duration::from_secs(10);
/// However often a page is told.
const PAGES_MAX: usize = 32;

/// Pages of the last [`WINDOW`], the oldest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    pages: VecDeque<(Instant, Page)>,
}

impl History {
    pub(crate) fn push(&mut self, at: Instant, page: Page) {
        self.pages.push_back((at, page));
        while self.pages.len() > PAGES_MAX
            || self.pages.front().is_some_and(|(first, _)| at.duration_since(*first) > WINDOW && self.pages.len() > 2)
        {
            self.pages.pop_front();
        }
    }

    /// Whether there is a past to compare with.
    pub(crate) fn has_past(&self) -> bool {
        self.pages.len() > 1
    }

    /// The newest samples of a name.
    pub(crate) fn newest<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Sample> {
        self.pages.back().into_iter().flat_map(move |(_, page)| page.of(name))
    }

    /// The sum of the newest samples of a name; nothing where there are none.
    pub(crate) fn sum(&self, name: &str, wanted: impl Fn(&Sample) -> bool) -> Option<f64> {
        let values = self.newest(name).filter(|sample| wanted(sample)).map(|sample| sample.value);
        values.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
    }

    /// By how much counters rose in a second, over the window; nothing without a past.
    pub(crate) fn rate(&self, name: &str, wanted: impl Fn(&Sample) -> bool) -> Option<f64> {
        let (_, _, seconds) = self.ends()?;
        let rose = self.rises(name).filter(|(sample, _)| wanted(sample)).map(|(_, rose)| rose);
        Some(rose.fold(0.0, |sum, rose| sum + rose) / seconds)
    }

    /// The quantile of what histograms recorded in the window, all those that are wanted together; nothing where that is
    /// nothing.
    pub(crate) fn quantile(&self, name: &str, of: f64, wanted: impl Fn(&Sample) -> bool) -> Option<Duration> {
        let name = format!("{name}_bucket");
        let mut buckets: BTreeMap<Bound, f64> = BTreeMap::new();
        for (sample, rose) in self.rises(&name).filter(|(sample, _)| wanted(sample)) {
            *buckets.entry(Bound::of(sample.label("le"))).or_default() += rose;
        }
        let all = buckets.last_key_value().map(|(_, count)| *count).filter(|count| *count > 0.0)?;
        let (mut below, mut from) = (0.0, 0.0);
        for (Bound(bound), count) in buckets {
            if count >= all * of {
                // Past the last bound nothing is known but that bound.
                let share = if count > below { (all * of - below) / (count - below) } else { 1.0 };
                let seconds = if bound.is_finite() { from + (bound - from) * share } else { from };
                return Some(Duration::from_secs_f64(seconds));
            }
            (below, from) = (count, bound);
        }
        None
    }

    /// The newest samples of a name, each with how far it rose in the window. One that fell began anew.
    fn rises<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a Sample, f64)> {
        let earlier: BTreeMap<&[(String, String)], f64> = match self.ends() {
            Some((oldest, _, _)) => oldest.of(name).map(|sample| (sample.labels.as_slice(), sample.value)).collect(),
            None => BTreeMap::new(),
        };
        let past = self.has_past();
        self.newest(name).filter(move |_| past).map(move |sample| {
            let before = earlier.get(sample.labels.as_slice()).copied().unwrap_or(0.0);
            let rose = if sample.value >= before { sample.value - before } else { sample.value };
            (sample, rose)
        })
    }

    fn ends(&self) -> Option<(&Page, &Page, f64)> {
        let ((from, oldest), (to, newest)) = (self.pages.front()?, self.pages.back()?);
        let seconds = to.duration_since(*from).as_secs_f64();
        (seconds > 0.0).then_some((oldest, newest, seconds))
    }
}

/// An upper bound of a bucket, in order.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Bound(f64);

impl Bound {
    fn of(text: &str) -> Self {
        Self(text.parse().unwrap_or(f64::INFINITY))
    }
}

impl Eq for Bound {}

impl PartialOrd for Bound {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Bound {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pages: &[(u64, &str)]) -> History {
        let (start, mut history) = (Instant::now(), History::default());
        for (second, text) in pages {
            history.push(start + Duration::from_secs(*second), Page::parse(text));
        }
        history
    }

    #[test]
    fn a_rate_is_that_of_the_window_and_a_counter_that_began_anew_counts_from_nothing() {
        let calls = |count: u32| format!("holdfast_requests_total{{method=\"a\"}} {count}");
        let one = |second, count: u32| (second, calls(count));
        let pages = [one(0, 1_000), one(5, 1_010), one(12, 1_030), one(14, 1_050)];
        let pages: Vec<_> = pages.iter().map(|(second, text)| (*second, text.as_str())).collect();
        assert_eq!(told(&pages[..1]).rate("holdfast_requests_total", |_| true), None);
        // Of seconds 5 to 14: what was before is not of interest any more.
        let rate = told(&pages).rate("holdfast_requests_total", |_| true).expect("it has a past");
        assert!((rate - 40.0 / 9.0).abs() < 1e-9, "{rate}");
        let anew = told(&[(0, &calls(500)), (2, &calls(6))]).rate("holdfast_requests_total", |_| true);
        assert_eq!(anew, Some(3.0));
    }

    #[test]
    fn a_quantile_is_of_what_was_recorded_in_the_window() {
        let page = |fast: u32, slow: u32| {
            format!(
                "holdfast_state_read_seconds_bucket{{le=\"0.001\"}} {fast}\n\
                 holdfast_state_read_seconds_bucket{{le=\"0.01\"}} {}\n\
                 holdfast_state_read_seconds_bucket{{le=\"+Inf\"}} {}\n",
                fast + slow,
                fast + slow
            )
        };
        let history = told(&[(0, &page(1_000, 0)), (1, &page(1_000, 100))]);
        let median = history.quantile("holdfast_state_read_seconds", 0.5, |_| true).expect("there were calls");
        assert_eq!(median.as_micros(), 5_500, "the thousand fast ones were before");
        let idle = told(&[(0, &page(5, 5)), (1, &page(5, 5))]);
        assert_eq!(idle.quantile("holdfast_state_read_seconds", 0.5, |_| true), None);
    }
}
