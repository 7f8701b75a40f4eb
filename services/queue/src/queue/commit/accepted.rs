//! Submissions that became durable.

use std::sync::Arc;

use holdfast_rpc::Error;
use holdfast_storage::{Class, Failure};
use uuid::Uuid;

use crate::domain::invocation::Accepted;
use crate::domain::schedule::{Entry, Place, turn};
use crate::domain::time::Now;
use crate::queue::calls::CallWhat;
use crate::queue::core::Core;
use crate::queue::sight::Fresh;
use crate::queue::tag::{AcceptTag, AcceptTo, Enqueued};
use crate::queue::{Shared, refusal, spans};
use crate::store::Acceptance;

impl Shared {
    pub(super) fn accepted(
        self: &Arc<Self>,
        core: &mut Core,
        tag: AcceptTag,
        acceptance: Result<Acceptance, Failure>,
        now: Now,
    ) {
        let AcceptTag { accepted, payload, digest, to, span } = tag;
        if !matches!(acceptance, Ok(Acceptance::Created { .. })) {
            core.depths.withdrawn(&accepted.agent, &accepted.tenant, payload.data.len(), now.moment);
        }
        let promised = core.promised.remove(&accepted.id);
        let outcome = match acceptance {
            Ok(Acceptance::Created { ready, .. }) if core.window.is_some() => {
                core.seen.add(&accepted.agent);
                core.comes_up(accepted.deadline, now);
                match ready {
                    // What is promised is about to be claimed, and is not looked for elsewhere.
                    Some(candidate) if !promised => {
                        let input = Some((Arc::clone(&accepted), payload));
                        core.fresh.push(Fresh { candidate: *candidate, input });
                    }
                    Some(_) => {}
                    None => core.comes_up(accepted.not_before, now),
                }
                Ok(Enqueued { id: accepted.id, created: true })
            }
            Ok(Acceptance::Created { seq, place, .. }) => {
                let entry = self.entry(&accepted, seq, place, payload.data.len(), now);
                core.seen.add(&entry.agent);
                if promised {
                    core.schedule.accept_claimed(entry);
                } else {
                    core.schedule.accept(entry, now.moment);
                    core.hot.put(&accepted, payload);
                }
                Ok(Enqueued { id: accepted.id, created: true })
            }
            Ok(Acceptance::Existing { id, same: true }) => Ok(Enqueued { id, created: false }),
            Ok(Acceptance::Existing { id, same: false }) => Err(key_reused(id)),
            Err(failure) => {
                core.doubts(&failure);
                let error = refusal::store(&failure);
                if takes_no_writes(&failure) {
                    return self.refuse(core, accepted, digest, to, span, error);
                }
                Err(error)
            }
        };
        spans::accepted(span, &outcome);
        self.answer_accept(core, to, &accepted, outcome);
    }

    /// Tells who submitted; for a stream also what comes after the acceptance.
    pub(crate) fn answer_accept(
        self: &Arc<Self>,
        core: &mut Core,
        to: AcceptTo,
        accepted: &Arc<Accepted>,
        outcome: Result<Enqueued, Error>,
    ) {
        let (stream, call_id, wait) = match to {
            AcceptTo::Caller(reply) => {
                // A caller that has gone finds it by its key.
                let _ = reply.send(outcome);
                return;
            }
            AcceptTo::Call { stream, call_id, wait } => (stream, call_id, wait),
        };
        match outcome {
            Ok(enqueued) if wait => {
                stream.say_accepted(call_id, enqueued);
                if enqueued.created {
                    core.waits.add(&stream, call_id, Arc::clone(accepted));
                } else {
                    self.spawn_wait(Arc::clone(&stream), call_id, accepted.tenant.to_string(), enqueued.id);
                }
            }
            Ok(enqueued) => stream.answer(call_id, CallWhat::Accepted(enqueued)),
            Err(error) => stream.answer(call_id, CallWhat::Refused(error)),
        }
    }

    fn entry(&self, accepted: &Accepted, seq: i64, place: Option<Place>, bytes: usize, now: Now) -> Entry {
        Entry {
            id: accepted.id,
            seq,
            agent: Arc::clone(&accepted.agent),
            tenant: Arc::clone(&accepted.tenant),
            turn: turn(
                accepted.not_before.map_or(accepted.at, |at| at.max(accepted.at)),
                accepted.priority,
                *self.config.priority_ageing,
            ),
            place,
            ready_at: accepted.not_before.map(|at| now.moment_of(at)),
            deadline: accepted.deadline.map(|at| now.moment_of(at)),
            accepted_at: now.moment,
            bytes,
        }
    }
}

/// Whether it is known that nothing was written, and likely that there is something to read.
fn takes_no_writes(failure: &Failure) -> bool {
    matches!(failure.class(), Class::Full | Class::ReadOnly) && !failure.may_have_happened()
}

/// The refusal of a key that was used with another payload.
pub(crate) fn key_reused(first: Uuid) -> Error {
    let message = format!("the idempotency key was used with another payload, for invocation {first}");
    Error::already_exists(first.to_string(), message)
}
