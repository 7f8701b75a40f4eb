//! What workers are sent, and where it goes.

use std::sync::Arc;
use std::time::Duration;

use holdfast_rpc::Error;
use tokio::sync::oneshot;

use super::outbox::Outbox;
use crate::domain::record::Record;

/// A lease as its worker gets it.
#[derive(Debug)]
pub struct Grant {
    /// The invocation, input included.
    pub record: Record,
    /// The signed token.
    pub token: Arc<str>,
    /// The fence in it.
    pub fence: u64,
    /// The trace under which its holder works.
    pub traceparent: String,
    /// How long it lasts.
    pub ttl: Duration,
}

impl Grant {
    pub(crate) fn bytes(&self) -> usize {
        ITEM_BYTES + self.record.bytes()
    }
}

/// Leases that go into one message: well below what a client takes.
pub(crate) const MESSAGE_BYTES: usize = 1 << 20;

/// What an item takes beside its bytes, roughly.
pub(crate) const ITEM_BYTES: usize = 512;

/// What a worker's stream is told.
#[derive(Debug)]
pub(crate) enum Work {
    Welcome { adopted: Vec<String>, heartbeat_interval: Duration },
    Lease(Box<Grant>),
    Renewed(Vec<Renewal>),
    Settled { token: String, outcome: Result<(), Error> },
    Revoked { token: Arc<str>, reason: &'static str },
    Draining,
}

impl Work {
    /// What it takes until it has been read, roughly.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Welcome { adopted, .. } => ITEM_BYTES + adopted.iter().map(String::len).sum::<usize>(),
            Self::Lease(grant) => grant.bytes(),
            Self::Renewed(renewals) => renewals.iter().map(|renewal| ITEM_BYTES + renewal.token.len()).sum(),
            Self::Settled { token, .. } => ITEM_BYTES + token.len(),
            Self::Revoked { .. } | Self::Draining => ITEM_BYTES,
        }
    }

    pub(crate) fn into_grant(self) -> Option<Grant> {
        match self {
            Self::Lease(grant) => Some(*grant),
            _ => None,
        }
    }
}

impl Outbox<Work> {
    /// Tells a worker something.
    pub(crate) fn tell(&self, work: Work) {
        let bytes = work.bytes();
        self.push(work, bytes);
    }

    /// Tells a worker an answer that it is owed.
    pub(crate) fn answer(&self, token: String, outcome: Result<(), Error>) {
        let work = Work::Settled { token, outcome };
        let bytes = work.bytes();
        self.pay(work, bytes);
    }
}

/// What became of a lease at a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    /// The lease's token.
    pub token: String,
    /// How long it lasts from now, or why it is over.
    pub lease: Result<Duration, &'static str>,
}

/// Who takes leases.
#[derive(Debug)]
pub(crate) enum Taker {
    Stream(Arc<Outbox<Work>>),
    Call(LeaseCall),
}

/// A call that waits for leases. It is answered with those of one round.
#[derive(Debug)]
pub(crate) struct LeaseCall {
    /// Promised ones that the store has not confirmed yet.
    pub(crate) promised: usize,
    pub(crate) grants: Vec<Grant>,
    pub(crate) reply: Option<oneshot::Sender<Vec<Grant>>>,
}

impl Taker {
    /// Whether it can be sent something now, with so many bytes promised that are not on their way yet.
    pub(crate) fn takes(&self, promised: usize) -> bool {
        match self {
            Self::Stream(outbox) => outbox.has_room_beside(promised),
            // Its answer is one message; the last input in it may be of any size.
            Self::Call(_) => promised < MESSAGE_BYTES,
        }
    }
}
