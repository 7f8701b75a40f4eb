//! Leases that became durable, and promises that the store did not keep.

use std::sync::Arc;
use std::time::Duration;

use holdfast_rpc::lease::LeaseToken;
use holdfast_storage::Failure as StoreFailure;
use uuid::Uuid;

use super::{PAUSE, again};
use crate::domain::demand::WorkerId;
use crate::domain::invocation::{Accepted, Failure};
use crate::domain::leases::Held;
use crate::domain::record::{Phase, Record, Standing};
use crate::domain::time::{Micros, Now};
use crate::queue::core::{Commands, Core};
use crate::queue::grant::{Grant, Taker, Work};
use crate::queue::tag::{ClaimTag, SettleTag, SettleTo, Tag};
use crate::queue::{Shared, spans};
use crate::store::{Change, Claimed, Command, Settle};

/// What went wrong before takes no more than this in one call's answer: a client takes 4 MiB, unless it says otherwise.
const TOLD_BYTES: usize = 2 << 20;

impl Shared {
    pub(super) fn claimed(
        &self,
        core: &mut Core,
        tag: ClaimTag,
        mut claimed: Claimed,
        now: Now,
        commands: &mut Commands,
    ) {
        let ClaimTag { id, lease, worker, bytes, input } = tag;
        core.demand.answered(worker, bytes);
        if core.window.is_some() {
            core.claim_answered(id, true);
        } else {
            core.schedule.leased(id);
        }
        core.ring(id);
        let Some((accepted, payload)) = claimed.input.take().or(input) else {
            unreachable!("a claim without input asks for it")
        };
        core.depths.claimed(&accepted.agent, &accepted.tenant, accepted.bytes, now.moment);
        let Phase::Leased(granted) = &claimed.live.phase else { unreachable!("a claimed invocation is leased") };
        let token = self.sign(&accepted, claimed.live.attempt, granted.id, granted.fence);
        let held = Held {
            invocation: id,
            agent: Arc::clone(&accepted.agent),
            tenant: Arc::clone(&accepted.tenant),
            bytes: accepted.bytes,
            worker: Arc::clone(&granted.worker),
            stream: granted.stream,
            token: Arc::clone(&token),
            origin: spans::origin(&accepted),
        };
        spans::waited(&accepted, &claimed, now.wall);
        core.seen.waited(&accepted.agent, waited(&accepted, &claimed, now.wall));
        core.leases.begin(lease, held, now.moment.after(*self.config.lease_ttl));
        let grant = Grant {
            fence: granted.fence,
            traceparent: spans::attempt(&accepted, granted.id),
            token,
            ttl: *self.config.lease_ttl,
            record: Record {
                accepted,
                payload: Some(payload),
                standing: Standing::Live(claimed.live),
                tries: claimed.tries,
                past_ends: claimed.past_ends,
            },
        };
        // Also while draining: a stream that has been told takes none, and then it goes back.
        self.deliver(core, worker, Some(grant), now, commands);
    }

    /// Brings a grant, or the news that there is none, to who was promised it; what nobody takes goes back.
    fn deliver(&self, core: &mut Core, worker: WorkerId, grant: Option<Grant>, now: Now, commands: &mut Commands) {
        for grant in deliver(core, worker, grant) {
            commands.push(self.release(&grant, now));
        }
    }

    /// Hands back what nobody took.
    pub(in crate::queue) fn hand_back(self: &Arc<Self>, grants: &[Grant]) {
        let now = self.clock.now();
        self.send(grants.iter().map(|grant| self.release(grant, now)).collect());
    }

    /// Nobody got it, so nobody gives it back: the attempt does not count.
    fn release(&self, grant: &Grant, now: Now) -> (Tag, Command) {
        let id = grant.record.accepted.id;
        let Standing::Live(live) = &grant.record.standing else { unreachable!("a grant is live") };
        let Some(lease) = live.lease() else { unreachable!("a grant has a lease") };
        let settle = Settle { id, now: now.wall, change: Change::Release { lease: lease.id } };
        let to = SettleTo::Reaper { lease: lease.id };
        (Tag::Settle(SettleTag { id, whose: None, to }), Command::Settle(Box::new(settle)))
    }

    pub(super) fn not_claimed(
        &self,
        core: &mut Core,
        tag: ClaimTag,
        failure: Option<&StoreFailure>,
        now: Now,
        commands: &mut Commands,
    ) {
        if let Some(failure) = failure {
            core.doubts(failure);
            // Where its acceptance is still in doubt, it must be looked for once that is known.
            core.promised.remove(&tag.id);
            core.paused_until = Some(now.moment.after(again(failure)));
        }
        match (&core.window, failure) {
            // Another process has it.
            (Some(_), None) => core.claim_answered(tag.id, false),
            (Some(_), Some(_)) => core.claim_failed(tag.id, now.moment),
            (None, Some(_)) => core.schedule.requeued(tag.id, None, now.moment),
            // It has ended, or memory and store disagree: it must not be tried in a tight loop.
            (None, None) => core.schedule.requeued(tag.id, Some(now.moment.after(PAUSE)), now.moment),
        }
        if let Some((accepted, payload)) = tag.input
            && core.schedule.get(tag.id).is_some()
        {
            core.hot.put(&accepted, payload);
        }
        core.demand.answered(tag.worker, tag.bytes);
        core.demand.add(tag.worker, 1);
        self.deliver(core, tag.worker, None, now, commands);
    }

    /// The token of a lease.
    pub(crate) fn sign(&self, accepted: &Accepted, attempt: u32, lease: Uuid, fence: u64) -> Arc<str> {
        let token = LeaseToken {
            tenant: accepted.tenant.to_string(),
            session: accepted.session.clone().unwrap_or_default(),
            invocation_id: accepted.id.to_string(),
            attempt,
            lease_id: lease.to_string(),
            fence,
            agent: accepted.agent.to_string(),
        };
        self.key.sign(&token).into()
    }
}

/// How long it could have run and did not.
fn waited(accepted: &Accepted, claimed: &Claimed, now: Micros) -> Duration {
    let again = claimed.tries.last().map(|last| last.next_at.unwrap_or(last.ended_at));
    let redriven = claimed.past_ends.last().map(|end| end.redriven_at);
    let ready_at = [accepted.not_before, again, redriven].into_iter().flatten().fold(accepted.at, Micros::max);
    Duration::from_micros(now.saturating_sub(ready_at).max(0).unsigned_abs())
}

/// What nobody took comes back.
fn deliver(core: &mut Core, worker: Uuid, grant: Option<Grant>) -> Vec<Grant> {
    let Some(entry) = core.takers.get_mut(&worker) else { return grant.into_iter().collect() };
    match &mut entry.taker {
        Taker::Stream(outbox) => {
            let refused = grant.and_then(|grant| {
                let bytes = grant.bytes();
                outbox.offer(Work::Lease(Box::new(grant)), bytes).err()
            });
            refused.into_iter().filter_map(Work::into_grant).collect()
        }
        Taker::Call(call) => {
            call.promised -= 1;
            call.grants.extend(grant);
            if call.promised > 0 {
                return Vec::new();
            }
            let mut grants = std::mem::take(&mut call.grants);
            shorten(grants.iter_mut().flat_map(|grant| grant.record.failures_mut()), TOLD_BYTES);
            let refused = match call.reply.take() {
                Some(reply) => reply.send(grants).err(),
                None => Some(grants),
            };
            core.takers.remove(&worker);
            refused.unwrap_or_default()
        }
    }
}

/// Cuts messages, where all of them together are too long, to the same length.
fn shorten<'f>(failures: impl Iterator<Item = &'f mut Failure>, bytes_max: usize) {
    let failures: Vec<&mut Failure> = failures.collect();
    if failures.iter().map(|failure| failure.message.len()).sum::<usize>() > bytes_max {
        let each = bytes_max / failures.len();
        failures.into_iter().for_each(|failure| failure.message.truncate(failure.message.floor_char_boundary(each)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_alike_where_they_are_too_long_together() {
        let told = |texts: [&str; 3], bytes_max| {
            let mut failures = texts.map(|text| Failure::outside("WHY", text));
            shorten(failures.iter_mut(), bytes_max);
            failures.map(|failure| failure.message)
        };
        assert_eq!(told(["long", "äö", "s"], 9), ["long", "äö", "s"]);
        assert_eq!(told(["long", "äö", "s"], 8), ["lo", "ä", "s"]);
        assert_eq!(told(["long", "äö", "s"], 3), ["l", "", "s"], "no letter is cut in two");
    }
}
