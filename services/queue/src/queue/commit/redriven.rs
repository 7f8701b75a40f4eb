//! Redrives that became durable.

use holdfast_storage::Failure;

use crate::domain::invocation::Accepted;
use crate::domain::schedule::{Entry, Place, turn};
use crate::domain::time::Now;
use crate::metrics;
use crate::queue::core::Core;
use crate::queue::sight::Fresh;
use crate::queue::tag::RedriveTag;
use crate::queue::{Shared, refusal};
use crate::store::Redriven;

impl Shared {
    pub(super) fn redriven(&self, core: &mut Core, tag: RedriveTag, outcome: Result<Redriven, Failure>, now: Now) {
        let RedriveTag { id, accepted, reply } = tag;
        match &outcome {
            Ok(Redriven::Now { accepted, seq, place, ready }) => {
                core.seen.add(&accepted.agent);
                if core.window.is_some() {
                    core.comes_up(accepted.deadline, now);
                    match ready {
                        Some(candidate) => core.fresh.push(Fresh { candidate: (**candidate).clone(), input: None }),
                        None => core.comes_up(accepted.not_before, now),
                    }
                } else {
                    core.schedule.accept(entry(core, accepted, *seq, *place, now), now.moment);
                }
                core.ring(id);
                metrics::redriven();
            }
            not => {
                core.depths.withdrawn(&accepted.agent, &accepted.tenant, accepted.bytes, now.moment);
                if let Err(failure) = not {
                    core.doubts(failure);
                }
            }
        }
        // It is durable, whether the caller is still there or not.
        let _ = reply.send(outcome.map_err(|failure| refusal::store(&failure)));
    }
}

/// It has its turn among those who came meanwhile.
fn entry(core: &Core, accepted: &Accepted, seq: i64, place: Option<Place>, now: Now) -> Entry {
    let ready_at = accepted.not_before.map_or(now.wall, |at| at.max(now.wall));
    Entry {
        id: accepted.id,
        seq,
        agent: accepted.agent.clone(),
        tenant: accepted.tenant.clone(),
        turn: turn(ready_at, accepted.priority, core.ageing),
        place,
        ready_at: Some(now.moment_of(ready_at)),
        deadline: accepted.deadline.map(|at| now.moment_of(at)),
        accepted_at: now.moment,
        bytes: accepted.bytes,
    }
}
