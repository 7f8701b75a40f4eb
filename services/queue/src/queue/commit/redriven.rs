//! Redrives that became durable.

use holdfast_storage::Failure;

use crate::domain::schedule::{Entry, turn};
use crate::domain::time::Now;
use crate::metrics;
use crate::queue::core::Core;
use crate::queue::tag::RedriveTag;
use crate::queue::{Shared, refusal};
use crate::store::Redriven;

impl Shared {
    pub(super) fn redriven(&self, core: &mut Core, tag: RedriveTag, outcome: Result<Redriven, Failure>, now: Now) {
        let RedriveTag { id, accepted, reply } = tag;
        if let Ok(Redriven::Now { accepted, seq, place, .. }) = &outcome {
            let ready_at = accepted.not_before.map_or(now.wall, |at| at.max(now.wall));
            let entry = Entry {
                id,
                seq: *seq,
                agent: accepted.agent.clone(),
                tenant: accepted.tenant.clone(),
                turn: turn(ready_at, accepted.priority, core.ageing),
                place: *place,
                ready_at: Some(now.moment_of(ready_at)),
                deadline: accepted.deadline.map(|at| now.moment_of(at)),
                accepted_at: now.moment,
                bytes: accepted.bytes,
            };
            core.seen.add(&entry.agent);
            core.schedule.accept(entry, now.moment);
            core.ring(id);
            metrics::redriven();
        } else {
            core.depths.withdrawn(&accepted.agent, &accepted.tenant, accepted.bytes, now.moment);
        }
        // It is durable, whether the caller is still there or not.
        let _ = reply.send(outcome.map_err(|failure| refusal::store(&failure)));
    }
}
