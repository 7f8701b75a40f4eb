//! Ends that became durable.

use holdfast_storage::Failure;
use uuid::Uuid;

use super::{PAUSE, again};
use crate::domain::invocation::Status;
use crate::domain::leases::Held;
use crate::domain::record::{Ended, Outcome, TryKind};
use crate::domain::time::Now;
use crate::domain::transition::{CANCELLED, DEADLINE_PASSED, LEASE_LOST, Step};
use crate::metrics;
use crate::queue::core::Core;
use crate::queue::grant::{Taker, Work};
use crate::queue::sight::Fresh;
use crate::queue::spans::Over;
use crate::queue::tag::{SettleTag, SettleTo, Settled, Whose};
use crate::queue::{Shared, refusal};
use crate::store::Settlement;

impl Shared {
    pub(super) fn settled(&self, core: &mut Core, tag: SettleTag, settlement: Result<Settlement, Failure>, now: Now) {
        let id = tag.id;
        let mut kept_for = PAUSE;
        let mut over = None;
        let outcome = match settlement {
            Ok(Settlement::Now { step, tries, past_ends, ready }) => {
                core.fresh.extend(ready.into_iter().map(|candidate| Fresh { candidate, input: None }));
                if let Some(over) = Over::by(id, &step, &tries, &past_ends) {
                    self.tell_over(core, over);
                }
                let settled = self.stepped(core, (id, tag.whose.as_ref()), &step, now);
                if let Step::Ended { ended, .. } = step {
                    over = Some((ended, tries, past_ends));
                }
                Ok(settled)
            }
            Ok(Settlement::Before { status, at, next_at }) => {
                self.tell_again(id);
                Ok(Settled { status, at, next_at })
            }
            Ok(Settlement::Refused(gone)) => {
                if let (SettleTo::Reaper { lease }, Some(_)) = (&tag.to, &core.window) {
                    // Another process keeps it now.
                    core.leases.freed_elsewhere(*lease);
                }
                Err(refusal::gone(gone, id))
            }
            Err(failure) => {
                core.doubts(&failure);
                if matches!(tag.to, SettleTo::Deadline) {
                    core.schedule.expire_again(id, now.moment.after(again(&failure)));
                }
                // The same trouble may have kept the lease's worker from coming back: it has its grace again.
                kept_for = again(&failure) + *self.config.stream_grace;
                Err(refusal::store(&failure))
            }
        };
        // A runtime runs first what was woken first: whoever waits for the end has nothing else to do, the worker has.
        if let Some((ended, tries, past_ends)) = over {
            core.waits.ended(id, &ended, &tries, &past_ends);
        }
        match tag.to {
            SettleTo::Caller(reply) => {
                // It is durable, whether the caller is still there or not.
                let _ = reply.send(outcome);
            }
            SettleTo::Worker { outbox, token } => {
                outbox.answer(token, outcome.map(|_| ()));
            }
            SettleTo::Reaper { lease } if outcome.is_err() => core.leases.keep(lease, now.moment.after(kept_for)),
            SettleTo::Reaper { .. } | SettleTo::Deadline => {}
        }
    }

    fn stepped(&self, core: &mut Core, (id, whose): (Uuid, Option<&Whose>), step: &Step, now: Now) -> Settled {
        let settled = match step {
            Step::Requeued { live, tried } => {
                let next_at = tried.next_at;
                let held = core.leases.end(tried.lease.id);
                if let Some(held) = &held {
                    core.depths.requeued(&held.agent, &held.tenant, held.bytes, now.moment);
                }
                core.schedule.requeued(id, next_at.map(|at| now.moment_of(at)), now.moment);
                core.comes_up(next_at, now);
                if let TryKind::Lost(_) = tried.kind {
                    metrics::lease_lost();
                    revoke(core, held, LEASE_LOST);
                } else if tried.kind.counts() {
                    metrics::retried();
                }
                debug_assert!(live.lease().is_none());
                Settled { status: Status::Queued, at: tried.ended_at, next_at }
            }
            Step::Ended { ended, raise, .. } => {
                if let Some(held) = ended.lease.as_ref().and_then(|lease| core.leases.get(lease.id)) {
                    core.depths.ended(&held.agent, &held.tenant, held.bytes, true, now.moment);
                    core.seen.ended(&held.agent, ended.usage, now.moment);
                } else if let Some(entry) = core.schedule.get(id) {
                    core.depths.ended(&entry.agent, &entry.tenant, entry.bytes, false, now.moment);
                    core.seen.ended(&entry.agent, ended.usage, now.moment);
                } else if let Some(Whose { agent, tenant }) = whose {
                    // Another process keeps the lease, and is not told more than that it is over.
                    core.depths.ended(agent, tenant, 0, true, now.moment);
                    core.seen.ended(agent, ended.usage, now.moment);
                }
                core.out_of_sight(id);
                core.schedule.ended(id, now.moment);
                core.hot.take(id);
                metrics::ended(ended.outcome.status());
                self.end_lease(core, ended);
                if raise.is_some() {
                    self.raised.notify_one();
                }
                Settled { status: ended.outcome.status(), at: ended.at, next_at: None }
            }
        };
        core.ring(id);
        settled
    }

    fn end_lease(&self, core: &mut Core, ended: &Ended) {
        let Some(lease) = &ended.lease else { return };
        let held = core.leases.end(lease.id);
        match &ended.outcome {
            Outcome::Cancelled(_) => revoke(core, held, CANCELLED),
            Outcome::Failed(failure) if failure.reason == DEADLINE_PASSED => revoke(core, held, DEADLINE_PASSED),
            Outcome::Dead(failure) if failure.reason == LEASE_LOST => {
                metrics::lease_lost();
                revoke(core, held, LEASE_LOST);
            }
            Outcome::Succeeded(_) | Outcome::Failed(_) | Outcome::Dead(_) => {}
        }
    }
}

/// Tells a worker on its stream that it must stop.
pub(in crate::queue) fn revoke(core: &Core, held: Option<Held>, reason: &'static str) {
    let Some(Held { stream: Some(stream), token, .. }) = held else { return };
    if let Some(Taker::Stream(outbox)) = core.takers.get(&stream).map(|entry| &entry.taker) {
        outbox.tell(Work::Revoked { token, reason });
    }
}
