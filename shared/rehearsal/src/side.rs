//! What one side came to: from what was seen and told to the figures, and to what is drawn over time.

mod parts;
mod series;
mod spread;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::caller::{End, Ended};
use crate::ends::Tally;
use crate::outcome::{Mark, Side};
use crate::watch::Look;
use spread::Spread;

/// Everything that was seen of one side.
#[derive(Debug)]
pub(crate) struct Record {
    /// When the day began.
    pub(crate) began: Instant,
    /// What became of each invocation.
    pub(crate) ended: Vec<Ended>,
    /// Whose each was, by the tenant's number and its place in `ended`.
    pub(crate) whose: Vec<usize>,
    /// The tenants' names; none where they are not told apart.
    pub(crate) tenants: Vec<String>,
    /// When work on each first began, by its place in `ended`.
    pub(crate) begun: Vec<Option<Instant>>,
    /// How much later than planned each was asked for.
    pub(crate) late: Vec<Duration>,
    /// What was seen in between.
    pub(crate) looks: Vec<Look>,
    /// How often it was looked.
    pub(crate) every: Duration,
    /// What the ends counted from beginning to end.
    pub(crate) tally: Tally,
    /// What is known of the pool; None where its agents are somebody's own, into whom nobody looks.
    pub(crate) insight: Option<Insight>,
    /// Phases, and what was done to the mesh.
    pub(crate) marks: Vec<Mark>,
}

/// What only a pool of the rehearsal's own agents tells.
#[derive(Debug)]
pub(crate) struct Insight {
    /// For how long workers stood in calls that hung.
    pub(crate) stalled: Duration,
    /// Writes that agents gave up.
    pub(crate) write_timeouts: u64,
    /// Acknowledged updates that no record holds.
    pub(crate) lost_updates: u64,
    /// Invocations that killed workers had in hand, and those of them that nobody began again.
    pub(crate) cut_off: u64,
    pub(crate) left_lying: u64,
}

impl Record {
    /// The figures.
    pub(crate) fn side(&self) -> Side {
        let count = |is: &dyn Fn(&End) -> bool| self.ended.iter().filter(|ended| is(&ended.end)).count() as u64;
        let offered = self.ended.len() as u64;
        let succeeded = count(&End::is_well);
        let expired = count(&|end| *end == End::Expired);
        let refused = count(&|end| *end == End::Refused);
        let refusals = || self.ended.iter().flat_map(|ended| &ended.refusals);
        let insight = self.insight.as_ref();
        let (waits, answers) = (self.waits(), self.answers());
        let seconds = self.length().as_secs_f64();
        Side {
            success_rate: if offered == 0 { 0.0 } else { succeeded as f64 / offered as f64 },
            offered,
            succeeded,
            degraded: insight.map(|_| count(&|end| matches!(end, End::Answered { degraded: true, .. }))),
            failed: offered - succeeded - expired - refused,
            expired,
            refused,
            lost_updates: insight.map(|insight| insight.lost_updates),
            wrong_answers: insight.map(|_| count(&|end| matches!(end, End::Answered { misled: true, .. }))),
            provider_429: self.tally.refused,
            model_calls: self.tally.model_calls,
            tool_calls: self.tally.tool_calls,
            tool_stalls: self.tally.hung,
            stalled_worker_seconds: insight.map(|insight| insight.stalled.as_secs_f64()),
            state_write_timeouts: insight.map(|insight| insight.write_timeouts),
            cut_off: insight.map(|insight| insight.cut_off),
            left_lying: insight.map(|insight| insight.left_lying),
            refusals: refusals().count() as u64,
            refusals_without_retry_after: refusals().filter(|(_, hinted)| !hinted).count() as u64,
            wait_p50_ms: waits.at(0.5),
            wait_p99_ms: waits.at(0.99),
            answer_p50_ms: answers.at(0.5),
            answer_p99_ms: answers.at(0.99),
            goodput_per_second: succeeded as f64 / seconds.max(f64::MIN_POSITIVE),
            tokens_input: self.tally.tokens_input,
            tokens_output: self.tally.tokens_output,
            depth_max: self.looks.iter().map(|look| look.depth).max().unwrap_or_default(),
            seconds,
            late_p99_ms: self.late.iter().copied().collect::<Spread>().at(0.99).unwrap_or_default(),
            reasons: self.reasons(),
            parts: parts::of(self),
            tenants: parts::of_tenants(self),
            marks: self.marks.clone(),
            series: series::of(self),
        }
    }

    /// From the first arrival to the last end.
    fn length(&self) -> Duration {
        let last = self.ended.iter().map(|ended| ended.ended).max();
        last.map_or(Duration::ZERO, |last| last.saturating_duration_since(self.began))
    }

    fn waits(&self) -> Spread {
        let both = self.ended.iter().zip(&self.begun);
        both.filter_map(|(ended, begun)| Some(begun.as_ref()?.saturating_duration_since(ended.asked))).collect()
    }

    fn answers(&self) -> Spread {
        let well = self.ended.iter().filter(|ended| ended.end.is_well());
        well.map(|ended| ended.ended.saturating_duration_since(ended.asked)).collect()
    }

    /// Why invocations did not succeed, most first.
    fn reasons(&self) -> Vec<(String, u64)> {
        let mut counts = BTreeMap::<&str, u64>::new();
        for ended in &self.ended {
            if let Some(why) = ended.end.why_not() {
                *counts.entry(why).or_default() += 1;
            }
        }
        let mut reasons: Vec<_> = counts.into_iter().map(|(why, count)| (why.to_owned(), count)).collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        reasons
    }
}

impl End {
    /// Answered in time, as far as anybody sees.
    pub(crate) fn is_well(&self) -> bool {
        matches!(self, Self::Answered { .. })
    }

    fn why_not(&self) -> Option<&str> {
        match self {
            Self::Answered { .. } => None,
            Self::Expired => Some("EXPIRED"),
            Self::Refused => Some("REFUSED"),
            Self::Failed(why) => Some(why),
        }
    }
}

#[cfg(test)]
mod tests;
