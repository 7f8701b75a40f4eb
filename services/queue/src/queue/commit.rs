//! What a committed batch changes in memory, and who is told.

use std::sync::Arc;

use holdfast_rpc::Error;
use holdfast_rpc::lease::LeaseToken;
use holdfast_storage::Failure;
use uuid::Uuid;

use super::calls::CallWhat;
use super::core::{Commands, Core};
use super::grant::{Grant, ITEM_BYTES, Taker, Work};
use super::tag::{AcceptTag, AcceptTo, ClaimTag, Enqueued, SettleTag, SettleTo, Settled, Tag, TellTag, TellTo};
use super::{Shared, refusal};
use crate::domain::invocation::{Accepted, Ended, Outcome, Phase, Record, Standing, Status, Try, TryKind};
use crate::domain::demand::WorkerId;
use crate::domain::leases::Held;
use crate::domain::schedule::{Entry, Place};
use crate::domain::time::Now;
use crate::domain::transition::{CANCELLED, DEADLINE_PASSED, LEASE_LOST, Step};
use crate::metrics;
use crate::store::{Acceptance, Answer, Batch, Change, Claimed, Command, Settle, Settlement};

/// How long nothing is promised after the store has failed.
const PAUSE: std::time::Duration = std::time::Duration::from_secs(1);

impl Shared {
    /// Takes in what became durable, answers who waits, and promises what is ready now.
    pub(crate) fn committed(self: &Arc<Self>, batch: Batch<Tag>) {
        metrics::committed(batch.answers.len(), batch.took);
        let now = self.clock.now();
        let mut core = self.core.lock();
        let mut commands = Commands::new();
        for (tag, answer) in batch.answers {
            self.apply(&mut core, tag, answer, now, &mut commands);
        }
        core.dispatch(now, &mut commands);
        self.submit(&mut core, commands, now);
    }

    /// Hands commands to the store; when it takes none, that is their answer.
    pub(crate) fn submit(self: &Arc<Self>, core: &mut Core, commands: Commands, now: Now) {
        if !commands.is_empty()
            && let Err((commands, failure)) = self.store.submit(commands)
        {
            for (tag, _) in commands {
                // A failed command brings no further ones, but those that give back what nobody can take.
                self.apply(core, tag, Err(failure.clone()), now, &mut Commands::new());
            }
        }
        self.arm(core.next_due());
    }

    fn apply(
        self: &Arc<Self>,
        core: &mut Core,
        tag: Tag,
        answer: Result<Answer, Failure>,
        now: Now,
        commands: &mut Commands,
    ) {
        match (tag, answer) {
            (Tag::Accept(tag), Ok(Answer::Accepted(acceptance))) => self.accepted(core, *tag, Ok(acceptance), now),
            (Tag::Accept(tag), Err(failure)) => self.accepted(core, *tag, Err(failure), now),
            (Tag::Claim(tag), Ok(Answer::Claimed(Some(claimed)))) => {
                self.claimed(core, *tag, *claimed, now, commands);
            }
            (Tag::Claim(tag), Ok(Answer::Claimed(None))) => self.not_claimed(core, *tag, None, now, commands),
            (Tag::Claim(tag), Err(failure)) => self.not_claimed(core, *tag, Some(&failure), now, commands),
            (Tag::Settle(tag), Ok(Answer::Settled(settlement))) => self.settled(core, tag, Ok(*settlement), now),
            (Tag::Settle(tag), Err(failure)) => self.settled(core, tag, Err(failure), now),
            (Tag::Adopt(tag), answer) => {
                let adopted = matches!(answer, Ok(Answer::Adopted(true)));
                if adopted {
                    core.leases.adopt(tag.lease, tag.to, now.moment.after(*self.config.lease_ttl));
                }
                let _ = tag.reply.send(adopted);
            }
            (Tag::Tell(tag), Ok(Answer::Told(told))) => {
                core.ring(tag.id);
                let id = tag.id;
                answer_tell(tag, told.map_err(|gone| refusal::gone(gone, id)));
            }
            (Tag::Tell(tag), Err(failure)) => answer_tell(tag, Err(refusal::store(&failure))),
            (Tag::ForgetRaises(reply), answer) => {
                let _ = reply.send(answer.map(|_| ()).map_err(|failure| refusal::store(&failure)));
            }
            (tag, Ok(answer)) => unreachable!("the store answered {tag:?} with {answer:?}"),
        }
    }

    fn accepted(
        self: &Arc<Self>,
        core: &mut Core,
        tag: AcceptTag,
        acceptance: Result<Acceptance, Failure>,
        now: Now,
    ) {
        let AcceptTag { accepted, payload, to } = tag;
        core.pending_items -= 1;
        core.pending_bytes -= payload.data.len() as u64;
        let outcome = match acceptance {
            Ok(Acceptance::Created { seq, place }) => {
                core.schedule.accept(self.entry(&accepted, seq, place, payload.data.len(), now), now.moment);
                core.hot.put(&accepted, payload);
                Ok(Enqueued { id: accepted.id, created: true })
            }
            Ok(Acceptance::Existing { id, same: true }) => Ok(Enqueued { id, created: false }),
            Ok(Acceptance::Existing { id, same: false }) => Err(key_reused(id)),
            Err(failure) => Err(refusal::store(&failure)),
        };
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
                stream.say(call_id, CallWhat::Accepted(enqueued));
                if enqueued.created {
                    core.waits.add(&stream, call_id, Arc::clone(accepted));
                } else {
                    self.spawn_wait(Arc::clone(&stream), call_id, accepted.tenant.to_string(), enqueued.id);
                }
            }
            Ok(enqueued) => stream.answer(call_id, CallWhat::Accepted(enqueued)),
            Err(error) => stream.answer(call_id, CallWhat::Refused(error)),
        }
        stream.outbox.waive();
    }

    fn entry(&self, accepted: &Accepted, seq: i64, place: Option<Place>, bytes: usize, now: Now) -> Entry {
        Entry {
            id: accepted.id,
            seq,
            agent: Arc::clone(&accepted.agent),
            tenant: Arc::clone(&accepted.tenant),
            priority: accepted.priority,
            place,
            ready_at: accepted.not_before.map(|at| now.moment_of(at)),
            deadline: accepted.deadline.map(|at| now.moment_of(at)),
            accepted_at: now.moment,
            bytes,
        }
    }

    fn claimed(&self, core: &mut Core, tag: ClaimTag, claimed: Claimed, now: Now, commands: &mut Commands) {
        let ClaimTag { id, lease, worker, input } = tag;
        core.schedule.leased(id);
        core.ring(id);
        let Some((accepted, payload)) = claimed.input.or(input) else {
            unreachable!("a claim without input asks for it")
        };
        let Phase::Leased(granted) = &claimed.live.phase else { unreachable!("a claimed invocation is leased") };
        let token = self.sign(&accepted, claimed.live.attempt, granted.id, granted.fence);
        let held = Held {
            invocation: id,
            tenant: Arc::clone(&accepted.tenant),
            worker: Arc::clone(&granted.worker),
            stream: granted.stream,
            token: Arc::clone(&token),
        };
        core.leases.begin(lease, held, now.moment.after(*self.config.lease_ttl));
        let grant = Grant {
            fence: granted.fence,
            token,
            ttl: *self.config.lease_ttl,
            record: Record {
                accepted,
                payload: Some(payload),
                standing: Standing::Live(claimed.live),
                tries: claimed.tries,
            },
        };
        if core.draining {
            commands.push(self.release(&grant, now));
            self.deliver(core, worker, None, now, commands);
        } else {
            self.deliver(core, worker, Some(grant), now, commands);
        }
    }

    /// Brings a grant, or the news that there is none, to who was promised it; what nobody takes goes back.
    fn deliver(
        &self,
        core: &mut Core,
        worker: WorkerId,
        grant: Option<Grant>,
        now: Now,
        commands: &mut Commands,
    ) {
        for grant in deliver(core, worker, grant) {
            commands.push(self.release(&grant, now));
        }
    }

    /// Nobody got it, so nobody gives it back: the attempt does not count.
    fn release(&self, grant: &Grant, now: Now) -> (Tag, Command) {
        let id = grant.record.accepted.id;
        let Standing::Live(live) = &grant.record.standing else { unreachable!("a grant is live") };
        let Some(lease) = live.lease() else { unreachable!("a grant has a lease") };
        let settle = Settle { id, now: now.wall, change: Change::Release { lease: lease.id } };
        (Tag::Settle(SettleTag { id, to: SettleTo::Reaper }), Command::Settle(Box::new(settle)))
    }

    fn not_claimed(
        &self,
        core: &mut Core,
        tag: ClaimTag,
        failure: Option<&Failure>,
        now: Now,
        commands: &mut Commands,
    ) {
        let ready_at = match failure {
            Some(_) => {
                core.paused_until = Some(now.moment.after(PAUSE));
                None
            }
            // It has ended, or memory and store disagree: it must not be tried in a tight loop.
            None => Some(now.moment.after(PAUSE)),
        };
        core.schedule.requeued(tag.id, ready_at, now.moment);
        if let Some((accepted, payload)) = tag.input {
            core.hot.put(&accepted, payload);
        }
        core.demand.add(tag.worker, 1);
        self.deliver(core, tag.worker, None, now, commands);
    }

    fn settled(&self, core: &mut Core, tag: SettleTag, settlement: Result<Settlement, Failure>, now: Now) {
        let id = tag.id;
        let outcome = match settlement {
            Ok(Settlement::Now { step, tries }) => Ok(self.stepped(core, id, step, &tries, now)),
            Ok(Settlement::Before { status, at, next_at }) => Ok(Settled { status, at, next_at }),
            Ok(Settlement::Refused(gone)) => Err(refusal::gone(gone, id)),
            Err(failure) => {
                if matches!(tag.to, SettleTo::Deadline) {
                    core.schedule.expire_again(id, now.moment.after(PAUSE));
                }
                Err(refusal::store(&failure))
            }
        };
        match tag.to {
            SettleTo::Caller(reply) => {
                // It is durable, whether the caller is still there or not.
                let _ = reply.send(outcome);
            }
            SettleTo::Worker { outbox, token } => {
                outbox.pay(Work::Settled { token, outcome: outcome.map(|_| ()) }, ITEM_BYTES);
            }
            SettleTo::Reaper | SettleTo::Deadline => {}
        }
    }

    fn stepped(&self, core: &mut Core, id: Uuid, step: Step, tries: &[Try], now: Now) -> Settled {
        let settled = match step {
            Step::Requeued { live, tried } => {
                let next_at = tried.next_at;
                core.schedule.requeued(id, next_at.map(|at| now.moment_of(at)), now.moment);
                let held = core.leases.end(tried.lease.id);
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
                core.schedule.ended(id, now.moment);
                core.hot.take(id);
                core.drain_rate.left(1, now.moment);
                core.waits.ended(id, &ended, tries);
                metrics::ended(ended.outcome.status());
                self.end_lease(core, &ended);
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

    /// The token of a lease.
    pub(crate) fn sign(&self, accepted: &Accepted, attempt: u32, lease: Uuid, fence: u64) -> Arc<str> {
        let token = LeaseToken {
            tenant: accepted.tenant.to_string(),
            session: accepted.session.clone().unwrap_or_default(),
            invocation_id: accepted.id.to_string(),
            attempt,
            lease_id: lease.to_string(),
            fence,
        };
        self.key.sign(&token).into()
    }
}

/// The refusal of a key that was used with another payload.
pub(crate) fn key_reused(first: Uuid) -> Error {
    let message = format!("the idempotency key was used with another payload, for invocation {first}");
    Error::already_exists(first.to_string(), message)
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
            let grants = std::mem::take(&mut call.grants);
            let refused = match call.reply.take() {
                Some(reply) => reply.send(grants).err(),
                None => Some(grants),
            };
            core.takers.remove(&worker);
            refused.unwrap_or_default()
        }
    }
}

/// Tells a worker on its stream that it must stop.
fn revoke(core: &Core, held: Option<Held>, reason: &'static str) {
    let Some(Held { stream: Some(stream), token, .. }) = held else { return };
    if let Some(Taker::Stream(outbox)) = core.takers.get(&stream).map(|entry| &entry.taker) {
        outbox.push(Work::Revoked { token, reason }, ITEM_BYTES);
    }
}

fn answer_tell(tag: TellTag, outcome: Result<u64, Error>) {
    match tag.to {
        TellTo::Caller(reply) => {
            // The event is in the stream, whether the caller is still there or not.
            let _ = reply.send(outcome);
        }
        TellTo::Worker { outbox, token } => {
            outbox.pay(Work::Settled { token, outcome: outcome.map(|_| ()) }, ITEM_BYTES);
        }
    }
}
