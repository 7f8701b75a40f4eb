//! Whether there is room, and if not, until when.

use std::sync::Arc;
use std::time::Duration;

use super::super::time::Moment;
use super::limit::{Limit, part};
use super::tally::{Scope, Tally};
use super::{Depths, Line};

/// The shortest hint: less would only bring the caller back too early.
const SOONEST: Duration = Duration::from_millis(100);
/// The hint while nothing has ever drained.
const UNKNOWN: Duration = Duration::from_secs(1);
/// So few in a second are none.
const NO_RATE: f64 = 1e-9;
/// Hints differ by this part to either side, so that callers do not return together.
const JITTER: f64 = 0.2;

/// There is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full {
    /// Where.
    pub within: Within,
    /// Of what there is too much.
    pub measure: Measure,
    /// Which mark was met.
    pub mark: Mark,
    /// When to come back: when what waits there now will have drained.
    pub wait: Duration,
}

/// What a limit bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Within {
    /// Everything.
    Total,
    /// The agent type's work.
    Agent,
    /// The tenant's work.
    Tenant,
}

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Invocations.
    Items,
    /// Bytes of their payloads.
    Bytes,
}

/// How full it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Who holds more than its share of what waits gets nothing more in.
    Soft,
    /// Nobody gets in.
    Hard,
}

impl Depths {
    /// Takes one in, which counts as waiting from now on, unless there is no room. `jitter` is drawn evenly from 0 to 1.
    ///
    /// # Errors
    /// [`Full`]: of several limits that are met, the one that takes the longest.
    pub fn admit(
        &mut self,
        agent: &Arc<str>,
        tenant: &Arc<str>,
        bytes: usize,
        jitter: f64,
        now: Moment,
    ) -> Result<(), Full> {
        let new = Tally::waiting(bytes);
        if let Some(mut full) = self.full(agent, tenant, new, now) {
            full.wait = full.wait.mul_f64(1.0 - JITTER + 2.0 * JITTER * jitter.clamp(0.0, 1.0));
            return Err(full);
        }
        self.apply(agent, tenant, new, now);
        Ok(())
    }

    fn full(&self, agent: &Arc<str>, tenant: &Arc<str>, new: Tally, now: Moment) -> Option<Full> {
        let weight = u64::from(self.weights.of(tenant));
        let of_agent = self.agents.get(agent);
        let line: Line = of_agent.and_then(|agent| agent.lines.get(tenant)).copied().unwrap_or_default();
        let of_tenant = self.tenants.get(tenant);
        let held = of_tenant.map_or(Tally::default(), |scope| scope.tally);
        let places = [
            (Within::Total, Some(&self.total), held, self.limits.total),
            (Within::Agent, of_agent.map(|agent| &agent.sum), line.tally, self.limits.agent),
            (Within::Tenant, of_tenant, held, self.limits.of_tenant(tenant)),
        ];
        let met = places.into_iter().filter_map(|(within, scope, held, limit)| {
            let waiting = scope.map_or(Tally::default(), |scope| scope.tally);
            let share = (weight, scope.map_or(0, |scope| scope.weight));
            let (mark, measure) = self.met(limit, waiting, held, share, new)?;
            Some(Full { within, measure, mark, wait: self.time_to_drain(scope, now) })
        });
        met.max_by_key(|full| full.wait)
    }

    /// The mark that something new would pass, where it would. `share` is the tenant's weight, and that of all who wait.
    fn met(
        &self,
        limit: Limit,
        waiting: Tally,
        held: Tally,
        (weight, all): (u64, u64),
        new: Tally,
    ) -> Option<(Mark, Measure)> {
        let measures = [
            (Measure::Items, limit.items, waiting.queued(), held.queued(), new.queued()),
            (Measure::Bytes, limit.bytes, waiting.bytes(), held.bytes(), new.bytes()),
        ];
        let hard = measures.iter().find(|(_, max, waiting, _, new)| waiting + new > *max);
        if let Some((measure, ..)) = hard {
            return Some((Mark::Hard, *measure));
        }
        let soft = measures.iter().find(|(_, max, waiting, held, new)| {
            let more_than_share = u128::from(*held) * u128::from(all) > u128::from(weight) * u128::from(*waiting);
            waiting + new > part(self.limits.soft, *max) && more_than_share
        });
        soft.map(|(measure, ..)| (Mark::Soft, *measure))
    }

    /// How long what waits in a scope takes to drain, as it drains now.
    fn time_to_drain(&self, scope: Option<&Scope>, now: Moment) -> Duration {
        let Some(scope) = scope else { return SOONEST };
        let waiting = scope.tally.queued() as f64;
        let (own, all) = (scope.per_second(now), self.total.per_second(now));
        // What is not known of the scope is taken for its part of what waits.
        let part = waiting / (self.total.tally.queued() as f64).max(1.0);
        let between = |known: f64, of: f64, otherwise: f64| known * of + (1.0 - known) * otherwise;
        let here = between(scope.is_known(now), own, all * part);
        // What others drain is only known in all: it is spread as the own work is, where there is any.
        let elsewhere = self.elsewhere * between(scope.drains(now), own / all.max(f64::MIN_POSITIVE), part);
        let wait = match here + elsewhere > NO_RATE {
            true => Duration::try_from_secs_f64(waiting / (here + elsewhere)).unwrap_or(self.limits.hint_max),
            // Nobody knows; what has lasted for long will last for as long again.
            false => scope.busy(now).max(UNKNOWN),
        };
        wait.clamp(SOONEST.min(self.limits.hint_max), self.limits.hint_max)
    }
}
