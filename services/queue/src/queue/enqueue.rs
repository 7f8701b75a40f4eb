//! Accepting invocations, one by one or many over one stream.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use holdfast_rpc::Error;
use holdfast_telemetry::apart::OpenSpan;
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::calls::{CallStream, CallWhat};
use super::commit::key_reused;
use super::core::{Commands, Core};
use super::tag::{AcceptTag, AcceptTo, Enqueued, Tag};
use super::{Queue, Shared, answered, refusal, spans};
use crate::domain::invocation::{Accepted, Payload};
use crate::domain::record::Standing;
use crate::domain::retry::RetryPolicy;
use crate::domain::time::Micros;
use crate::metrics;
use crate::store::{Accept, Command};

/// Refused submissions under an idempotency key that are looked up at once.
pub(super) const LOOKUPS_MAX: usize = 256;

/// What is asked, checked.
#[derive(Debug, Clone)]
pub struct Submission {
    /// Whose it is.
    pub tenant: Arc<str>,
    /// The agent type.
    pub agent: Arc<str>,
    /// The input.
    pub payload: Payload,
    /// Within what it runs in order.
    pub session: Option<String>,
    /// Scoped to tenant and agent.
    pub idempotency_key: Option<String>,
    /// From -100 to 100.
    pub priority: i32,
    /// Not leased before.
    pub not_before: Option<Micros>,
    /// The work's end.
    pub deadline: Option<Micros>,
    /// How failed attempts are repeated.
    pub retry: RetryPolicy,
    /// The caller's own marks.
    pub labels: std::collections::BTreeMap<String, String>,
    /// The invocation that started this one.
    pub parent: Option<Uuid>,
    /// The trace to continue.
    pub traceparent: String,
}

impl Queue {
    /// Accepts an invocation; the answer comes once it is durable.
    ///
    /// # Errors
    /// ALREADY_EXISTS, RESOURCE_EXHAUSTED, UNAVAILABLE.
    pub async fn enqueue(&self, submission: Submission) -> Result<Enqueued, Error> {
        let (reply, answer) = oneshot::channel();
        self.shared.enqueue(vec![(submission, AcceptTo::Caller(reply))]);
        answered(answer).await
    }

    /// Accepts the calls of one message. Each was opened on the stream; each is answered there.
    pub(crate) fn enqueue_calls(&self, stream: &Arc<CallStream>, calls: Vec<(u64, Submission, bool)>) {
        let submissions = calls
            .into_iter()
            .map(|(call_id, submission, wait)| {
                (submission, AcceptTo::Call { stream: Arc::clone(stream), call_id, wait })
            })
            .collect();
        self.shared.enqueue(submissions);
    }

    /// Sends an invocation's end to a call.
    pub(crate) fn wait(&self, stream: &Arc<CallStream>, call_id: u64, tenant: String, id: Uuid) {
        self.shared.spawn_wait(Arc::clone(stream), call_id, tenant, id);
    }

    /// A call waits no longer.
    pub(crate) fn forget(&self, stream: &Arc<CallStream>, call_id: u64) {
        self.shared.core.lock().waits.forget(stream, call_id);
    }

    /// A stream's client has gone.
    pub(crate) fn close_calls(&self, stream: &Arc<CallStream>) {
        self.shared.core.lock().waits.close(stream);
    }
}

impl Shared {
    fn enqueue(self: &Arc<Self>, submissions: Vec<(Submission, AcceptTo)>) {
        // Hashing is done before the lock is taken.
        let prepared: Vec<_> = submissions
            .into_iter()
            .map(|(mut submission, to)| {
                let digest = submission.idempotency_key.is_some().then(|| digest(&submission.payload));
                let span = spans::accepting(&mut submission);
                (submission, digest, to, span)
            })
            .collect();
        let now = self.clock.now();
        let keys_since = self.keys_since.load(Ordering::Relaxed);
        let mut core = self.core.lock();
        let mut commands = Commands::new();
        let mut refused = Vec::new();
        for (submission, digest, to, span) in prepared {
            let (accepted, payload) = submission.accept(now.wall);
            if core.draining {
                refused.push((accepted, digest, to, span, refusal::draining()));
                continue;
            }
            let (agent, tenant) = (&accepted.agent, &accepted.tenant);
            if let Err(full) = core.depths.admit(agent, tenant, payload.data.len(), rand::random(), now.moment) {
                metrics::full(&full);
                let error = refusal::full(full, agent, tenant);
                refused.push((accepted, digest, to, span, error));
                continue;
            }
            let promise = core.promise_new(&accepted, &payload, now);
            let awaited = matches!(to, AcceptTo::Call { wait: true, .. });
            let command =
                Accept { accepted: Arc::clone(&accepted), payload: payload.clone(), digest, awaited, keys_since };
            let tag = AcceptTag { accepted, payload, digest, to, span };
            commands.push((Tag::Accept(Box::new(tag)), Command::Accept(Box::new(command))));
            commands.extend(promise);
        }
        self.submit(&mut core, commands, now);
        for (accepted, digest, to, span, error) in refused {
            self.refuse(&mut core, accepted, digest, to, span, error);
        }
    }

    /// Refuses a submission, unless it is the repeat of one that was accepted: that needs no room.
    pub(super) fn refuse(
        self: &Arc<Self>,
        core: &mut Core,
        accepted: Arc<Accepted>,
        digest: Option<[u8; 32]>,
        to: AcceptTo,
        span: Option<OpenSpan>,
        error: Error,
    ) {
        // Nothing is looked up for a caller who has gone.
        let gone = matches!(&to, AcceptTo::Caller(reply) if reply.is_closed());
        let Some((key, digest)) = accepted.idempotency_key.clone().zip(digest).filter(|_| !gone) else {
            let outcome = Err(error);
            spans::accepted(span, &outcome);
            self.answer_accept(core, to, &accepted, outcome);
            return;
        };
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            let (tenant, agent) = (Arc::clone(&accepted.tenant), Arc::clone(&accepted.agent));
            let since = shared.keys_since.load(Ordering::Relaxed);
            // A repeat that is refused may come again: lookups that pile up would hold up what everybody reads.
            let room = shared.lookups.try_acquire();
            let found = match room {
                Ok(_) => shared.store.by_key(tenant, agent, key, digest, since).await,
                Err(_) => Ok(None),
            };
            let outcome = match found {
                Ok(Some((id, true))) => Ok(Enqueued { id, created: false }),
                Ok(Some((id, false))) => Err(key_reused(id)),
                Ok(None) | Err(_) => Err(error),
            };
            spans::accepted(span, &outcome);
            shared.answer_accept(&mut shared.core.lock(), to, &accepted, outcome);
        });
    }

    pub(super) fn spawn_wait(self: &Arc<Self>, stream: Arc<CallStream>, call_id: u64, tenant: String, id: Uuid) {
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            if let Some(what) = shared.wait(&stream, call_id, tenant, id).await {
                stream.answer(call_id, what);
            }
        });
    }

    /// The answer, or nothing where the call now waits for the invocation's end.
    async fn wait(&self, stream: &Arc<CallStream>, call_id: u64, tenant: String, id: Uuid) -> Option<CallWhat> {
        loop {
            // Before the store is read: no batch that arrives after that is missed.
            let mut landed = pin!(self.landed.notified());
            landed.as_mut().enable();
            let record = match self.store.get(id, Some(tenant.clone()), false).await {
                Ok(Some(record)) => record,
                Ok(None) => return Some(CallWhat::Refused(refusal::unknown(id))),
                Err(failure) => return Some(CallWhat::Refused(refusal::store(&failure))),
            };
            if matches!(record.standing, Standing::Ended(_)) {
                return Some(CallWhat::Ended(Box::new(record)));
            }
            let shared = {
                let mut core = self.core.lock();
                let shared = core.window.is_some();
                if shared || core.schedule.get(id).is_some() {
                    core.waits.add(stream, call_id, record.accepted);
                    Some(shared)
                } else {
                    None
                }
            };
            if let Some(shared) = shared {
                if shared {
                    // Elsewhere it may have ended since it was read.
                    self.tell_end(id).await;
                }
                return None;
            }
            // Its acceptance or its end is stored, and on its way into memory.
            landed.await;
        }
    }
}

impl Submission {
    fn accept(self, now: Micros) -> (Arc<Accepted>, Payload) {
        let accepted = Accepted {
            id: Uuid::now_v7(),
            tenant: self.tenant,
            agent: self.agent,
            session: self.session,
            idempotency_key: self.idempotency_key,
            priority: self.priority,
            not_before: self.not_before,
            deadline: self.deadline,
            retry: self.retry,
            labels: self.labels,
            parent: self.parent,
            traceparent: self.traceparent,
            at: now,
            bytes: self.payload.data.len(),
        };
        (Arc::new(accepted), self.payload)
    }
}

fn digest(payload: &Payload) -> [u8; 32] {
    Sha256::digest(&payload.data).into()
}
