//! The operations that decisions are made of. Each backend has them its own way: SQLite by statements, PostgreSQL in a
//! working set that it has loaded before and stores afterwards.

use std::sync::Arc;

use uuid::Uuid;

use super::super::{Accept, Candidate, Claim, Discard, KeptLease, ReadyKey, Redrive, Tell, WriterId};
use crate::domain::invocation::{Accepted, Payload, Usage};
use crate::domain::record::{Ended, Live, PastEnd, Try};
use crate::domain::retry::RetryPolicy;
use crate::domain::schedule::Place;
use crate::domain::time::Micros;

/// What does not change of an invocation that has not ended, and who times its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) id: Uuid,
    pub(crate) seq: i64,
    pub(crate) place: Option<Place>,
    pub(crate) deadline: Option<Micros>,
    /// None where one process keeps all leases.
    pub(crate) keeper: Option<WriterId>,
}

/// An invocation that has not ended.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) at: At,
    pub(crate) live: Live,
}

/// Where a new invocation stands.
#[derive(Debug)]
pub(crate) struct Created {
    pub(crate) seq: i64,
    pub(crate) place: Option<Place>,
    pub(crate) ready: Option<Box<Candidate>>,
}

/// What waits again.
#[derive(Debug)]
pub(crate) struct Revived {
    pub(crate) accepted: Arc<Accepted>,
    pub(crate) place: Option<Place>,
    pub(crate) ready: Option<Box<Candidate>>,
}

/// The tables of a store, within one transaction.
pub(crate) trait Tables {
    type Error;

    /// This process, where several share the store.
    fn writer(&self) -> Option<WriterId> {
        None
    }

    /// Takes an idempotency key for an invocation; the one that has it already, and whether its payload was the same. It
    /// is taken from one that has ended and was accepted before `since`.
    fn take_key(
        &mut self,
        accepted: &Accepted,
        key: &str,
        digest: &[u8; 32],
        since: Micros,
    ) -> Result<Option<(Uuid, bool)>, Self::Error>;

    /// Keeps a new invocation, at the end of its session.
    fn create(&mut self, accept: &Accept) -> Result<Created, Self::Error>;

    /// An invocation that has not ended.
    fn live(&mut self, id: Uuid) -> Result<Option<Row>, Self::Error>;

    /// Whether it stands where what may be leased does; memory knows where one process keeps all of it.
    fn is_ready(&self, _id: Uuid) -> bool {
        true
    }

    /// The session's last fence, when nothing before this place is left.
    fn head_fence(&mut self, place: Place) -> Result<Option<u64>, Self::Error>;

    /// An invocation is leased now, and kept by this process.
    fn grant(&mut self, at: &At, live: &Live) -> Result<(), Self::Error>;

    /// Nothing that can be leased stands there.
    fn forget_ready(&mut self, key: ReadyKey) -> Result<(), Self::Error>;

    /// What was asked.
    fn input(&mut self, at: &At) -> Result<(Arc<Accepted>, Payload), Self::Error>;

    /// How failures are repeated.
    fn retry(&mut self, at: &At) -> Result<RetryPolicy, Self::Error>;

    /// Leases that ended without a result, oldest first.
    fn tries(&mut self, id: Uuid, seq: i64) -> Result<Vec<Try>, Self::Error>;

    /// Ends after which it was redriven, oldest first.
    fn past_ends(&mut self, id: Uuid, seq: i64) -> Result<Vec<PastEnd>, Self::Error>;

    /// Leases handed back one after another until now, as far as it matters.
    fn releases(&mut self, at: &At) -> Result<usize, Self::Error>;

    /// Whether an invocation belongs to a tenant, ended or not.
    fn belongs_to(&mut self, id: Uuid, tenant: &str) -> Result<bool, Self::Error>;

    /// How an invocation ended, without its result.
    fn ended(&mut self, id: Uuid) -> Result<Option<(i64, Ended)>, Self::Error>;

    /// A lease is over and its invocation waits again; what is ready by this.
    fn requeue(&mut self, at: &At, live: &Live, tried: &Try) -> Result<Vec<Candidate>, Self::Error>;

    /// An invocation is over; what is ready by this.
    fn end(
        &mut self,
        at: &At,
        ended: &Ended,
        tried: Option<&Try>,
        raise: Option<u64>,
    ) -> Result<Vec<Candidate>, Self::Error>;

    /// What was used of models is known after an end: by its holder, who learns of the end only now.
    fn used(&mut self, id: Uuid, seq: i64, usage: Usage) -> Result<(), Self::Error>;

    /// A lease is at another stream now, and kept by this process.
    fn adopt(&mut self, at: &At, live: &Live) -> Result<Option<KeptLease>, Self::Error>;

    /// An event was told.
    fn tell(&mut self, at: &At, live: &Live, tell: &Tell) -> Result<(), Self::Error>;

    /// State has been told.
    fn forget_raises(&mut self, raises: &[i64]) -> Result<(), Self::Error>;

    /// The time of delayed ones has come; what is ready by this.
    fn promote(&mut self, ids: &[Uuid]) -> Result<Vec<Candidate>, Self::Error>;

    /// An invocation that ended so waits again, with the redrive's deadline, at the end of its session. Its end is kept
    /// among the past ones.
    fn revive(&mut self, redrive: &Redrive, seq: i64, ended: &Ended, live: &Live) -> Result<Revived, Self::Error>;

    /// Removes what still holds of what a sweep has found; how many.
    fn discard(&mut self, discard: &Discard) -> Result<usize, Self::Error>;
}

/// Whether it must not be leased any more.
pub(super) fn is_expired(at: &At, claim: &Claim) -> bool {
    at.deadline.is_some_and(|deadline| deadline <= claim.now)
}
