//! What is known of each command while the store has it: who waits for its answer, and what the answer is needed for.

use std::sync::Arc;

use holdfast_rpc::Error;
use holdfast_telemetry::apart::OpenSpan;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::calls::CallStream;
use super::grant::Work;
use super::outbox::Outbox;
use crate::domain::demand::WorkerId;
use crate::domain::invocation::{Accepted, Payload, Status};
use crate::domain::time::Micros;
use crate::store::Redriven;

/// Somebody who waits for one answer.
pub(crate) type Reply<A> = oneshot::Sender<Result<A, Error>>;

/// The tag of a command.
#[derive(Debug)]
pub(crate) enum Tag {
    Accept(Box<AcceptTag>),
    Claim(Box<ClaimTag>),
    Settle(SettleTag),
    Adopt(AdoptTag),
    Tell(TellTag),
    ForgetRaises(Reply<()>),
    /// The time of delayed ones has come, in a store that processes share.
    Promote(Reply<()>),
    Redrive(RedriveTag),
    Discard(Reply<usize>),
}

/// An invocation that becomes durable.
#[derive(Debug)]
pub(crate) struct AcceptTag {
    pub(crate) accepted: Arc<Accepted>,
    pub(crate) payload: Payload,
    /// Of the payload, where it has an idempotency key.
    pub(crate) digest: Option<[u8; 32]>,
    pub(crate) to: AcceptTo,
    pub(crate) span: Option<OpenSpan>,
}

/// Who submitted it.
#[derive(Debug)]
pub(crate) enum AcceptTo {
    Caller(Reply<Enqueued>),
    Call { stream: Arc<CallStream>, call_id: u64, wait: bool },
}

/// An accepted invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enqueued {
    /// Its id.
    pub id: Uuid,
    /// Whether this call made it.
    pub created: bool,
}

/// A lease that becomes durable.
#[derive(Debug)]
pub(crate) struct ClaimTag {
    pub(crate) id: Uuid,
    pub(crate) lease: Uuid,
    pub(crate) worker: WorkerId,
    /// That were promised to it.
    pub(crate) bytes: usize,
    pub(crate) input: Option<(Arc<Accepted>, Payload)>,
}

/// An end that becomes durable.
#[derive(Debug)]
pub(crate) struct SettleTag {
    pub(crate) id: Uuid,
    /// Whose work it is, where a process that does not keep the lease may have to count its end.
    pub(crate) whose: Option<Whose>,
    pub(crate) to: SettleTo,
}

/// What kind of work something is, and whose.
#[derive(Debug)]
pub(crate) struct Whose {
    pub(crate) agent: Arc<str>,
    pub(crate) tenant: Arc<str>,
}

/// Who ended it.
#[derive(Debug)]
pub(crate) enum SettleTo {
    Caller(Reply<Settled>),
    Worker {
        outbox: Arc<Outbox<Work>>,
        token: String,
    },
    /// A lease that is lost, or that nobody took: where the store fails it goes on, and the reaper comes back to it.
    Reaper {
        lease: Uuid,
    },
    /// A passed deadline: it must come up again when the store fails.
    Deadline,
}

/// What an end made of an invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// Its state.
    pub status: Status,
    /// When.
    pub at: Micros,
    /// When the next attempt may begin.
    pub next_at: Option<Micros>,
}

/// A lease that moves.
#[derive(Debug)]
pub(crate) struct AdoptTag {
    pub(crate) lease: Uuid,
    pub(crate) why: AdoptWhy,
    /// Whether it moved; none when the store did not say.
    pub(crate) reply: oneshot::Sender<Option<bool>>,
}

/// Why a lease moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AdoptWhy {
    /// Its holder comes with its token, and with a stream where it has one.
    Shown(Option<WorkerId>),
    /// The process that kept it is gone.
    Orphaned,
    /// It is said to have moved away: only the store knows whether it is still here.
    Doubted,
}

/// A report that becomes durable.
#[derive(Debug)]
pub(crate) struct TellTag {
    pub(crate) id: Uuid,
    pub(crate) to: TellTo,
}

/// A redrive that becomes durable.
#[derive(Debug)]
pub(crate) struct RedriveTag {
    pub(crate) id: Uuid,
    /// Room was made for it: it counts as waiting already.
    pub(crate) accepted: Arc<Accepted>,
    pub(crate) reply: Reply<Redriven>,
}

/// Who told it.
#[derive(Debug)]
pub(crate) enum TellTo {
    Caller(Reply<u64>),
    Worker { outbox: Arc<Outbox<Work>>, token: String },
}
