//! The transitions: what each event makes of an invocation. All of them are here, and nothing else changes a state.

use std::sync::Arc;

use uuid::Uuid;

use super::invocation::{Failure, Lease, Payload, Status, Usage};
use super::record::{Ended, Live, Outcome, PastEnd, Phase, Try, TryKind};
use super::retry::{RetryPolicy, Verdict, after_release};
use super::time::Micros;

/// The reason of an attempt whose worker was lost.
pub const LEASE_LOST: &str = "LEASE_LOST";
/// The reason of an invocation whose deadline passed.
pub const DEADLINE_PASSED: &str = "DEADLINE_PASSED";
/// The reason of an invocation that a caller ended.
pub const CANCELLED: &str = "CANCELLED";

/// What an event made of an invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It waits again.
    Requeued {
        /// How it stands.
        live: Live,
        /// The lease that is over.
        tried: Try,
    },
    /// It is over.
    Ended {
        /// How.
        ended: Ended,
        /// The lease that is over, where it failed or was lost.
        tried: Option<Try>,
        /// Leases up to this fence must be ended in state: their holders did not give them up.
        raise: Option<u64>,
    },
}

/// The lease named is not the one that holds the invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotHeld;

/// Who shall have a lease.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The lease's id, new.
    pub lease: Uuid,
    /// The worker's name.
    pub worker: Arc<str>,
    /// The worker's stream.
    pub stream: Option<Uuid>,
}

/// The next fence: above the last one and not below the time, so that it rises even when its record is gone.
#[must_use]
pub fn next_fence(last: u64, now: Micros) -> u64 {
    (last + 1).max(u64::try_from(now).unwrap_or(0))
}

impl Live {
    /// A new invocation.
    #[must_use]
    pub const fn accepted(not_before: Option<Micros>) -> Self {
        Self {
            phase: Phase::Queued { next_at: not_before },
            attempt: 0,
            lost: 0,
            events: 1,
            fence: 0,
            loose_fence: None,
            tries: 0,
            started_at: None,
            redrives: 0,
        }
    }

    /// The lease that holds it.
    #[must_use]
    pub const fn lease(&self) -> Option<&Lease> {
        match &self.phase {
            Phase::Leased(lease) => Some(lease),
            Phase::Queued { .. } => None,
        }
    }

    /// Begins an attempt. `last_fence` is the session's, or 0. None when somebody holds it already.
    #[must_use]
    pub fn granted(self, grant: &Grant, last_fence: u64, now: Micros) -> Option<Self> {
        let Phase::Queued { .. } = self.phase else { return None };
        let fence = next_fence(self.fence.max(last_fence), now);
        let events = self.events + 1;
        let lease = Lease {
            id: grant.lease,
            fence,
            worker: Arc::clone(&grant.worker),
            stream: grant.stream,
            at: now,
            event: events,
        };
        Some(Self {
            phase: Phase::Leased(lease),
            attempt: self.attempt + 1,
            events,
            fence,
            started_at: Some(now),
            ..self
        })
    }

    /// Its holder has the result.
    ///
    /// # Errors
    /// [`NotHeld`] when another lease, or none, holds it. So for the others.
    pub fn completed(self, lease: Uuid, result: Payload, usage: Usage, now: Micros) -> Result<Step, NotHeld> {
        let lease = self.held_by(lease)?;
        Ok(self.end(Outcome::Succeeded(result), Some(lease), usage, now))
    }

    /// Its holder's attempt failed.
    ///
    /// # Errors
    /// [`NotHeld`].
    pub fn failed(
        self,
        lease: Uuid,
        failure: Failure,
        usage: Usage,
        (retry, jitter): (&RetryPolicy, f64),
        now: Micros,
    ) -> Result<Step, NotHeld> {
        let lease = self.held_by(lease)?;
        let outcome = match retry.after(self.attempt, &failure, jitter, now) {
            Verdict::Again { at } => return Ok(self.requeue(lease, TryKind::Failed(failure), Some(at), now)),
            Verdict::Failed => Outcome::Failed(failure.clone()),
            Verdict::Dead => Outcome::Dead(failure.clone()),
        };
        Ok(self.end_by_try(outcome, lease, TryKind::Failed(failure), usage, now))
    }

    /// Its holder hands it back: the attempt does not count. So many leases were handed back just before.
    ///
    /// # Errors
    /// [`NotHeld`].
    pub fn released(mut self, lease: Uuid, before: usize, now: Micros) -> Result<Step, NotHeld> {
        let lease = self.held_by(lease)?;
        let step_attempt = self.attempt;
        self.attempt = self.attempt.saturating_sub(1);
        Ok(self.requeue_as(step_attempt, lease, TryKind::Released, after_release(before, now), now))
    }

    /// Its holder is gone. The attempt does not count, but lost leases have a limit of their own.
    ///
    /// # Errors
    /// [`NotHeld`], also when another stream has adopted the lease since.
    pub fn lost(mut self, lease: Uuid, stream: Option<Uuid>, lost_max: u32, now: Micros) -> Result<Step, NotHeld> {
        let lease = self.held_by(lease)?;
        if lease.stream != stream {
            return Err(NotHeld);
        }
        let lost_attempt = self.attempt;
        self.attempt = self.attempt.saturating_sub(1);
        self.lost += 1;
        self.loose_fence = Some(lease.fence);
        let failure = Failure {
            reason: LEASE_LOST.into(),
            message: format!("worker {} was lost", lease.worker),
            retryable: self.lost < lost_max,
        };
        if failure.retryable {
            return Ok(self.requeue_as(lost_attempt, lease, TryKind::Lost(failure), None, now));
        }
        let end = Failure {
            reason: LEASE_LOST.into(),
            message: format!("{} leases were lost; the last by worker {}", self.lost, lease.worker),
            retryable: false,
        };
        Ok(self.end_by_try(Outcome::Dead(end), lease, TryKind::Lost(failure), Usage::default(), now))
    }

    /// A caller ends it.
    #[must_use]
    pub fn cancelled(self, why: &str, now: Micros) -> Step {
        let message = if why.is_empty() { "cancelled by its caller" } else { why };
        self.end_from_outside(Outcome::Cancelled(Failure::outside(CANCELLED, message)), now)
    }

    /// Its deadline has passed.
    #[must_use]
    pub fn expired(self, now: Micros) -> Step {
        let failure = Failure::outside(DEADLINE_PASSED, "its deadline passed before it ended");
        self.end_from_outside(Outcome::Failed(failure), now)
    }

    /// Another stream of the same worker takes the lease over.
    ///
    /// # Errors
    /// [`NotHeld`], also when the lease's stream is not `from`.
    pub fn adopted(mut self, lease: Uuid, from: Option<Uuid>, to: Option<Uuid>) -> Result<Self, NotHeld> {
        let mut held = self.held_by(lease)?;
        if held.stream != from {
            return Err(NotHeld);
        }
        held.stream = to;
        self.phase = Phase::Leased(held);
        Ok(self)
    }

    /// Its holder has something to tell, which becomes the event at the new count.
    ///
    /// # Errors
    /// [`NotHeld`].
    pub fn reported(mut self, lease: Uuid) -> Result<Self, NotHeld> {
        self.held_by(lease)?;
        self.events += 1;
        Ok(self)
    }

    fn held_by(&self, lease: Uuid) -> Result<Lease, NotHeld> {
        self.lease().filter(|held| held.id == lease).cloned().ok_or(NotHeld)
    }

    fn requeue(self, lease: Lease, kind: TryKind, next_at: Option<Micros>, now: Micros) -> Step {
        let attempt = self.attempt;
        self.requeue_as(attempt, lease, kind, next_at, now)
    }

    fn requeue_as(mut self, attempt: u32, lease: Lease, kind: TryKind, next_at: Option<Micros>, now: Micros) -> Step {
        self.events += 1;
        self.tries += 1;
        self.phase = Phase::Queued { next_at };
        let event = self.events;
        Step::Requeued {
            live: self,
            tried: Try { attempt, lease, ended_at: now, event, kind, became: Status::Queued, next_at },
        }
    }

    fn end_from_outside(self, outcome: Outcome, now: Micros) -> Step {
        let lease = self.lease().cloned();
        let running = lease.as_ref().map(|lease| lease.fence);
        let mut step = self.end(outcome, lease, Usage::default(), now);
        if let Step::Ended { raise, .. } = &mut step {
            *raise = running.or(*raise);
        }
        step
    }

    fn end_by_try(self, outcome: Outcome, lease: Lease, kind: TryKind, usage: Usage, now: Micros) -> Step {
        // A lost attempt was taken back from the count already; its history names it all the same.
        let attempt = self.attempt + u32::from(matches!(kind, TryKind::Lost(_)));
        let became = outcome.status();
        let event = self.events + 1;
        let mut step = self.end(outcome, Some(lease.clone()), usage, now);
        if let Step::Ended { tried, .. } = &mut step {
            *tried = Some(Try { attempt, lease, ended_at: now, event, kind, became, next_at: None });
        }
        step
    }

    fn end(self, outcome: Outcome, lease: Option<Lease>, usage: Usage, now: Micros) -> Step {
        Step::Ended {
            ended: Ended {
                outcome,
                at: now,
                attempt: self.attempt,
                lost: self.lost,
                event: self.events + 1,
                lease,
                started_at: self.started_at,
                usage,
            },
            tried: None,
            raise: self.loose_fence,
        }
    }
}

impl Ended {
    /// Lets it run again, at its time: its attempts are counted anew, its events and fences go on. `tries` and `past` are
    /// its history. None after a success.
    #[must_use]
    pub fn redriven(&self, tries: &[Try], past: &[PastEnd], ready_at: Micros) -> Option<Live> {
        self.outcome.failure()?;
        let ends = past.iter().map(|past| &past.ended).chain([self]);
        let leases = ends.filter_map(|ended| ended.lease.as_ref()).chain(tries.iter().map(|tried| &tried.lease));
        Some(Live {
            // From now on it has its turn among those who came meanwhile.
            phase: Phase::Queued { next_at: Some(ready_at) },
            attempt: 0,
            lost: 0,
            events: self.event + 1,
            // What state was told of at its end is one of these, so the next lease rises above that too.
            fence: leases.map(|lease| lease.fence).max().unwrap_or(0),
            loose_fence: None,
            tries: tries.len() as u32,
            started_at: self.started_at,
            redrives: past.len() as u32 + 1,
        })
    }
}

#[cfg(test)]
mod tests;
