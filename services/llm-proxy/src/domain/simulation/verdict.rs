//! What happened in a seed, and whether it was right.

use std::{collections::BTreeMap, time::Duration};

use super::{
    AGEING, ms,
    plan::{Plan, Scene},
};

/// A promise that was broken, and how.
pub(super) type Broken = String;

/// What happened.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Figures {
    pub(super) calls: usize,
    /// Every start: when, of which tenant, how many tokens.
    pub(super) starts: Vec<(Duration, usize, u64)>,
    pub(super) done: usize,
    pub(super) refused: usize,
    /// Calls whose deadline passed in line.
    pub(super) in_vain: usize,
    pub(super) probed: usize,
    pub(super) injected: BTreeMap<&'static str, usize>,
}

/// What is wrong with a start that was foretold: it is off by more than a few in a hundred of those before it.
pub(super) fn foretold(
    starts: &[(Duration, usize, u64)],
    asked: Duration,
    real: Duration,
    told: Duration,
    window: Duration,
) -> Option<Broken> {
    let times: Vec<_> = starts.iter().map(|(at, ..)| *at).filter(|at| *at >= asked).collect();
    let place = times.partition_point(|at| *at < real);
    let off = 4 + place * 5 / 100;
    let first = times.get(place.saturating_sub(off)).copied().unwrap_or(real);
    let last = times.get(place + off).copied().unwrap_or(real + window);
    // What a request takes to arrive, each window adds.
    let slack = ms(5) + real.saturating_sub(asked) / 50;
    let right = first.saturating_sub(slack) <= told && told <= last + slack;
    (!right).then(|| format!("a start was foretold wrongly: {told:?}, and it was {real:?}, asked {asked:?}"))
}

/// When a call would be passed by nobody of its tenant: in milliseconds, less what its priority is worth.
pub(super) fn turn(asked: Duration, priority: i32) -> i64 {
    asked.as_millis() as i64 - i64::from(priority) * AGEING.as_millis() as i64
}

impl Figures {
    /// What a whole seed has to show.
    pub(super) fn check(&self, plan: &Plan, joined: Duration, ends: Duration) -> Result<(), Broken> {
        // Who comes a moment later may still go first, by its tenant or its deadline: nobody foresees that.
        if plan.scene == Scene::Burst && self.in_vain > 2 + self.done / 3 {
            return Err(format!("calls waited in vain: {} of {}", self.in_vain, self.done));
        }
        if plan.scene == Scene::Backlog {
            self.is_used(plan, ends)?;
            self.is_fair(plan, joined + plan.window * 2, ends)?;
        }
        Ok(())
    }

    fn within(&self, from: Duration, until: Duration) -> impl Iterator<Item = &(Duration, usize, u64)> {
        self.starts.iter().filter(move |(at, ..)| *at >= from && *at < until)
    }

    /// While somebody waits, the limit is used.
    fn is_used(&self, plan: &Plan, ends: Duration) -> Result<(), Broken> {
        let windows = ends.as_secs_f64() / plan.window.as_secs_f64();
        let limit = &plan.keys[0];
        let keys = plan.keys.len() as f64;
        let (used, most) = match (limit.requests_per_minute, limit.tokens_per_minute) {
            (Some(requests), _) => (self.within(Duration::ZERO, ends).count() as f64, f64::from(requests)),
            (None, Some(tokens)) => {
                (self.within(Duration::ZERO, ends).map(|(_, _, tokens)| *tokens).sum::<u64>() as f64, tokens as f64)
            }
            (None, None) => return Ok(()),
        };
        let share = used / (most * keys * windows);
        if share < 0.9 { Err(format!("the limit is not used: {share:.3} of it")) } else { Ok(()) }
    }

    /// Jain's index of what the tenants had, for their weights.
    fn is_fair(&self, plan: &Plan, from: Duration, until: Duration) -> Result<(), Broken> {
        let mut had = vec![0.0; plan.tenants.len()];
        for (_, tenant, tokens) in self.within(from, until) {
            had[*tenant] += *tokens as f64 / f64::from(plan.tenants[*tenant]);
        }
        let (sum, squares) = had.iter().fold((0.0, 0.0), |(sum, squares), had| (sum + had, squares + had * had));
        let jain = sum * sum / (had.len() as f64 * squares);
        if jain < 0.98 { Err(format!("tenants do not share by weight: {jain:.3}, {had:?}")) } else { Ok(()) }
    }
}
