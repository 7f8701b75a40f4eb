//! The calls that are on their way to the queue: which were sent, which were accepted, and what becomes of each when the
//! stream breaks. No I/O and no clock, so that every interleaving can be tested.
//!
//! Invariants: every open call is answered exactly once; a call that was sent is never answered as if it had not been;
//! only a call with an idempotency key is sent twice, and only to a queue that had answered before it broke; an accepted
//! call is only waited for, never sent again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use foldhash::HashMap;
use holdfast_proto::queue::v1 as pb;
use holdfast_rpc::status;
use pb::enqueue_stream_request::call::Call as Ask;
use pb::enqueue_stream_request::{Call as WireCall, Forget, WaitRequest};
use pb::enqueue_stream_response::Answer as WireAnswer;
use pb::enqueue_stream_response::answer::Answer;
use prost::Message as _;
use tokio::sync::oneshot;
use tonic::Code;

use super::call::{Call, CallError, Limits, Reply, Stage};
use crate::allowance::{Account, Share, Used};

enum Outgoing {
    Call(u64),
    Forget(u64),
}

enum Connection {
    /// `answered` once the queue has said anything on this stream. `asked_at` is when the first submission went out since it
    /// last said anything: its answer is due whether its caller still waits or not.
    Up {
        heard_at: Instant,
        asked_at: Option<Instant>,
        answered: bool,
    },
    Down {
        until: Instant,
    },
    /// A stream broke, and another is being opened at once: calls wait for it.
    Moving,
}

/// The table of open calls.
pub(crate) struct Calls {
    limits: Limits,
    connection: Connection,
    next_id: u64,
    open: HashMap<u64, Call>,
    outbox: VecDeque<Outgoing>,
    waits: usize,
    bytes: Arc<Account>,
}

impl Calls {
    /// An empty table; the queue counts as gone until [`Calls::connected`].
    pub(crate) fn new(limits: Limits, now: Instant) -> Self {
        Self {
            bytes: Account::new(limits.bytes_max),
            limits,
            connection: Connection::Down { until: now },
            next_id: 1,
            open: HashMap::default(),
            outbox: VecDeque::new(),
            waits: 0,
        }
    }

    /// Takes a call in, or says at once why not. Its bytes count among `own`, its tenant's, too.
    pub(crate) fn open(
        &mut self,
        request: pb::EnqueueRequest,
        waits: bool,
        own: &Arc<Account>,
        now: Instant,
        reply: oneshot::Sender<Result<Reply, CallError>>,
    ) -> Result<u64, CallError> {
        if let Connection::Down { until } = self.connection {
            return Err(unreachable(until, now, false));
        }
        if let Some(what) = self.full(waits) {
            return Err(CallError::Full { what });
        }
        let share = Share { all: self.bytes.clone(), own: own.clone() };
        let weight = share.hold(request.encoded_len()).map_err(|used| CallError::Full {
            what: match used {
                Used::Part => "bytes of one tenant on their way to the queue (gateway.tenant_bytes_max)",
                Used::All => "bytes on their way to the queue (gateway.bytes_max)",
            },
        })?;
        let id = self.next_id;
        self.next_id += 1;
        self.waits += usize::from(waits);
        let call = Call {
            stage: Stage::Ready,
            waits,
            tenant: request.tenant.clone(),
            request: Some(request),
            weight: Some(weight),
            resent: false,
            reply,
        };
        self.open.insert(id, call);
        self.outbox.push_back(Outgoing::Call(id));
        Ok(id)
    }

    fn full(&self, waits: bool) -> Option<&'static str> {
        if self.open.len() >= self.limits.calls_max {
            return Some("calls to the queue");
        }
        (waits && self.waits >= self.limits.waits_max).then_some("calls that wait for an invocation's end")
    }

    /// The next message for the stream: whatever waits, within the message's bounds.
    pub(crate) fn take(&mut self, now: Instant) -> Option<pb::EnqueueStreamRequest> {
        if !matches!(self.connection, Connection::Up { .. }) {
            return None;
        }
        let mut calls = Vec::new();
        let mut bytes = 0;
        while calls.len() < self.limits.message_calls_max && bytes < self.limits.message_bytes {
            let (call_id, ask) = match self.outbox.pop_front() {
                None => break,
                Some(Outgoing::Forget(id)) => (id, Ask::Forget(Forget {})),
                Some(Outgoing::Call(id)) => match self.ask(id, now) {
                    Some(ask) => (id, ask),
                    None => continue,
                },
            };
            let call = WireCall { call_id, call: Some(ask) };
            bytes += call.encoded_len();
            calls.push(call);
        }
        (!calls.is_empty()).then_some(pb::EnqueueStreamRequest { calls })
    }

    /// What is to be sent for a call; nothing when its caller has left.
    fn ask(&mut self, id: u64, now: Instant) -> Option<Ask> {
        let call = self.open.get_mut(&id)?;
        if let Stage::Accepted { invocation_id } | Stage::Parked { invocation_id, .. } = &call.stage {
            let invocation_id = invocation_id.clone();
            call.stage = Stage::Accepted { invocation_id: invocation_id.clone() };
            return Some(Ask::Wait(WaitRequest { tenant: call.tenant.clone(), invocation_id }));
        }
        call.resent |= matches!(call.stage, Stage::Lost { .. });
        let request = if call.may_be_resent() {
            call.request.clone()
        } else {
            call.weight = None;
            call.request.take()
        };
        call.stage = Stage::Sent { at: now };
        let request = request?;
        if call.waits {
            // One that is forgotten at once may never be answered.
            return Some(Ask::EnqueueAndWait(request));
        }
        if let Connection::Up { asked_at, .. } = &mut self.connection {
            asked_at.get_or_insert(now);
        }
        Some(Ask::Enqueue(request))
    }

    /// Takes a message of the queue in.
    pub(crate) fn hear(&mut self, answers: Vec<WireAnswer>, now: Instant) {
        if matches!(self.connection, Connection::Up { .. }) {
            self.connection = Connection::Up { heard_at: now, asked_at: None, answered: true };
        }
        for answer in answers {
            match answer.answer {
                Some(Answer::Accepted(accepted)) => self.accepted(answer.call_id, accepted),
                Some(Answer::Ended(ended)) => self.settle(answer.call_id, Ok(Reply::Ended(ended))),
                Some(Answer::Status(status)) => self.refused(answer.call_id, status),
                None => {}
            }
        }
    }

    fn accepted(&mut self, id: u64, accepted: pb::EnqueueResponse) {
        match self.open.get_mut(&id) {
            Some(call) if call.waits => {
                call.stage = Stage::Accepted { invocation_id: accepted.invocation_id };
                (call.request, call.weight) = (None, None);
            }
            Some(_) => self.settle(id, Ok(Reply::Accepted(accepted))),
            None => {}
        }
    }

    /// A queue that drains, or whose store is away, cannot wait now: the work goes on, and so does the wait.
    fn refused(&mut self, id: u64, status: Bytes) {
        let invocation_id = self.invocation_id(id);
        match (self.open.get_mut(&id), invocation_id) {
            (Some(call), Some(invocation_id)) if status::from_bytes(&status).code() == Code::Unavailable => {
                call.stage = Stage::Parked { invocation_id, queued: false };
            }
            (_, invocation_id) => self.settle(id, Err(CallError::Refused { status, invocation_id })),
        }
    }

    /// Asks again for the ends that the queue could not wait for.
    pub(crate) fn unpark(&mut self) {
        for (id, call) in &mut self.open {
            if let Stage::Parked { queued, .. } = &mut call.stage
                && !std::mem::replace(queued, true)
            {
                self.outbox.push_back(Outgoing::Call(*id));
            }
        }
    }

    /// The caller of a call has left; true when the queue is to be told.
    pub(crate) fn close(&mut self, id: u64) -> bool {
        let Some(call) = self.remove(id) else { return false };
        let queue_knows = matches!(call.stage, Stage::Sent { .. } | Stage::Accepted { .. });
        let tell = call.waits && queue_knows && matches!(self.connection, Connection::Up { .. });
        if tell {
            self.outbox.push_back(Outgoing::Forget(id));
        }
        tell
    }

    /// A stream is open: what the broken one left behind goes out first, in its old order.
    pub(crate) fn connected(&mut self, now: Instant) {
        self.connection = Connection::Up { heard_at: now, asked_at: None, answered: false };
        let mut ids: Vec<u64> = self.open.keys().copied().collect();
        ids.sort_unstable();
        self.outbox = ids.into_iter().map(Outgoing::Call).collect();
        self.mark_parked(true);
    }

    /// The outbox now holds every parked call, or none.
    fn mark_parked(&mut self, in_outbox: bool) {
        for call in self.open.values_mut() {
            if let Stage::Parked { queued, .. } = &mut call.stage {
                *queued = in_outbox;
            }
        }
    }

    /// There is no stream, and none before `until`; where that is now, another is opened at once. What was certainly not sent
    /// is refused, or waits for that other; what cannot be sent again is told that it may have been accepted. A queue that breaks without a word gets nothing twice: callers
    /// that are refused send their calls again, and two who do so would be a load of their own on what fails.
    pub(crate) fn disconnected(&mut self, now: Instant, until: Instant) {
        let worked = !matches!(self.connection, Connection::Up { answered: false, .. });
        let moving = until <= now;
        self.connection = if moving { Connection::Moving } else { Connection::Down { until } };
        self.outbox.clear();
        self.mark_parked(false);
        let mut failed = Vec::new();
        for (id, call) in &mut self.open {
            match call.stage {
                Stage::Ready if moving => {}
                Stage::Ready => failed.push((*id, false)),
                Stage::Sent { .. } if worked && call.may_be_resent() => call.stage = Stage::Lost { since: now },
                Stage::Sent { .. } => failed.push((*id, true)),
                Stage::Lost { since } if now.duration_since(since) >= self.limits.resend_within => {
                    failed.push((*id, true));
                }
                Stage::Lost { .. } | Stage::Accepted { .. } | Stage::Parked { .. } => {}
            }
        }
        for (id, maybe_accepted) in failed {
            self.settle(id, Err(unreachable(until, now, maybe_accepted)));
        }
    }

    /// True when an answer is due and nothing at all has come for `limit`: the queue hangs. Callers who leave earlier than
    /// that do not hide it.
    pub(crate) fn stalled(&self, now: Instant, limit: Duration) -> bool {
        let Connection::Up { heard_at, asked_at, .. } = self.connection else {
            return false;
        };
        let silent = |since: Instant| now.duration_since(since) >= limit;
        let waited_for = || self.open.values().any(|call| matches!(call.stage, Stage::Sent { at } if silent(at)));
        asked_at.is_some_and(silent) || (silent(heard_at) && waited_for())
    }

    /// The invocation of a call that was accepted.
    pub(crate) fn invocation_id(&self, id: u64) -> Option<String> {
        match &self.open.get(&id)?.stage {
            Stage::Accepted { invocation_id } | Stage::Parked { invocation_id, .. } => Some(invocation_id.clone()),
            _ => None,
        }
    }

    /// Whether the queue may know of a call by now.
    pub(crate) fn was_sent(&self, id: u64) -> bool {
        self.open.get(&id).is_some_and(|call| !matches!(call.stage, Stage::Ready))
    }

    /// Calls open now.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    fn settle(&mut self, id: u64, outcome: Result<Reply, CallError>) {
        if let Some(call) = self.remove(id) {
            // A caller that has left meanwhile needs no answer.
            let _ = call.reply.send(outcome);
        }
    }

    fn remove(&mut self, id: u64) -> Option<Call> {
        let call = self.open.remove(&id)?;
        self.waits -= usize::from(call.waits);
        Some(call)
    }
}

fn unreachable(until: Instant, now: Instant, maybe_accepted: bool) -> CallError {
    CallError::Unreachable { retry_after: until.saturating_duration_since(now), maybe_accepted }
}

#[cfg(test)]
mod tests;
