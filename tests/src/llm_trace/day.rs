//! The requests of the trace.

use std::ops::Range;
use std::time::Duration;

use holdfast_testkit::data;

use super::SPEED;

const TRACE: &str = "llm-trace/azure-2023-conv.csv";

/// What a caller limits an answer by.
const LIMITS: [u32; 5] = [64, 128, 256, 512, 1_024];

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    /// When it comes here, from the first on.
    pub(super) at: Duration,
    /// Tokens of its context.
    pub(super) input: u32,
    /// Tokens that were generated.
    pub(super) output: u32,
}

impl Request {
    /// The most that its caller allows.
    pub(super) fn most(&self) -> u32 {
        LIMITS.into_iter().find(|most| self.output <= *most).unwrap_or(self.output)
    }
}

/// The requests in their order.
#[derive(Debug)]
pub(super) struct Day {
    pub(super) requests: Vec<Request>,
}

impl Day {
    /// All of them; None where the trace is not there.
    pub(super) fn whole() -> Option<Self> {
        let text = std::fs::read_to_string(data(TRACE)?).expect("the trace can be read");
        let mut first = None;
        let requests = text.lines().skip(1).map(|line| {
            let (seconds, input, output) = parsed(line).expect("a line is a time and two counts");
            let begun = *first.get_or_insert(seconds);
            Request { at: Duration::from_secs_f64((seconds - begun) / f64::from(SPEED)), input, output }
        });
        Some(Self { requests: requests.collect() })
    }

    /// Those of some minutes of the trace.
    pub(super) fn minutes(minutes: Range<u32>) -> Option<Self> {
        let here = |minute: u32| Duration::from_secs(60) * minute / SPEED;
        let (from, until) = (here(minutes.start), here(minutes.end));
        let mut requests = Self::whole()?.requests;
        requests.retain(|request| (from..until).contains(&request.at));
        requests.iter_mut().for_each(|request| request.at -= from);
        Some(Self { requests })
    }

    pub(super) fn length(&self) -> Duration {
        self.requests.last().map(|request| request.at).unwrap_or_default()
    }

    pub(super) fn tokens(&self) -> u64 {
        self.requests.iter().map(|request| u64::from(request.input + request.output)).sum()
    }
}

/// A line such as `2023-11-16 18:15:46.6805900,374,44`: its time in seconds of the day, and its counts.
fn parsed(line: &str) -> Option<(f64, u32, u32)> {
    let mut fields = line.trim_end().split(',');
    let (_, time) = fields.next()?.split_once(' ')?;
    let mut parts = time.split(':').map(str::parse::<f64>);
    let mut part = || parts.next()?.ok();
    let seconds = part()? * 3_600.0 + part()? * 60.0 + part()?;
    Some((seconds, fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_time_and_two_counts() {
        assert_eq!(parsed("2023-11-16 18:15:46.5000000,374,44"), Some((65_746.5, 374, 44)));
        assert_eq!(parsed("TIMESTAMP,ContextTokens,GeneratedTokens"), None);
    }

    #[test]
    fn a_caller_allows_somewhat_more_than_is_written() {
        let most = |output| Request { at: Duration::ZERO, input: 1, output }.most();
        assert_eq!([most(44), most(64), most(65), most(1_000)], [64, 64, 128, 1_024]);
    }
}
