//! The port to the store: what it promises, not how it is kept.
//!
//! Commands are answered once they are durable, in batches that became durable together. Each command compares and sets:
//! it takes effect only on the standing that it names. Reads see what was committed.

mod answer;
mod apply;
mod command;
#[cfg(test)]
mod conformance;
mod found;
pub mod guarded;
pub mod postgres;
mod shared;
pub mod sqlite;
mod text;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use holdfast_storage::{Failure as StoreFailure, WriterOptions};
use uuid::Uuid;

use crate::domain::record::Record;
use crate::domain::time::Micros;

pub use answer::{Acceptance, Answer, Claimed, Gone, NotRedriven, Redriven, Settlement};
pub use command::{Accept, Adopt, AdoptFrom, Change, Claim, Command, Discard, Keep, Redrive, Settle, Tell};
pub use found::{Filter, History, Litter, Period, Raise, RaiseScope, Redrives, Sweep, Swept, Waiting, Window};
pub use shared::{Candidate, Count, Due, KeptLease, Line, Member, Note, Progress, ReadyKey, Shared, WriterId};

/// Whether a database works, as those see it who use it.
pub type Calm = Arc<dyn Fn() -> bool + Send + Sync>;

/// The writer of any store. What callers add is bounded by the depth limit, what workers add by their leases; these are the
/// last resort.
const fn writer(busy_poll: Duration) -> WriterOptions {
    WriterOptions { name: "queue-writer", waiting_max: 1 << 20, bytes_max: 256 << 20, batch_max: 1_024, busy_poll }
}

/// Answers that became durable together, each with the tag of its command.
pub type Batch<T> = holdfast_storage::Batch<T, Answer>;

/// The store. `T` is the tag by which its user knows commands again.
pub trait Store<T>: Send + Sync + 'static {
    /// Takes commands, all or none. Their answers come in the batches that the store delivers, in the order of commits.
    ///
    /// # Errors
    /// The commands and the reason, when too many wait or the store is closed.
    fn submit(&self, commands: Vec<(T, Command)>) -> Result<(), (Vec<(T, Command)>, StoreFailure)>;

    /// One invocation, of a tenant or of any.
    fn get(
        &self,
        id: Uuid,
        tenant: Option<String>,
        with_payload: bool,
    ) -> BoxFuture<'_, Result<Option<Record>, StoreFailure>>;

    /// A page, newest first, without payloads and results.
    fn list(&self, filter: Filter) -> BoxFuture<'_, Result<Vec<Record>, StoreFailure>>;

    /// What a call has redriven, oldest first.
    fn redriven_by(&self, past: Redrives) -> BoxFuture<'_, Result<Vec<Uuid>, StoreFailure>>;

    /// The events of an invocation from an offset on, as many as fit; none when it is not there.
    fn history(
        &self,
        id: Uuid,
        tenant: Option<String>,
        from: u64,
        window: Window,
    ) -> BoxFuture<'_, Result<Option<History>, StoreFailure>>;

    /// The first invocation of an idempotency key, and whether its payload had this digest. `since` is as
    /// [`Accept::keys_since`].
    fn by_key(
        &self,
        tenant: Arc<str>,
        agent: Arc<str>,
        key: String,
        digest: [u8; 32],
        since: Micros,
    ) -> BoxFuture<'_, Result<Option<(Uuid, bool)>, StoreFailure>>;

    /// Everything that has not ended, by acceptance.
    fn waiting(&self) -> BoxFuture<'_, Result<Vec<Waiting>, StoreFailure>>;

    /// Fences that state must still be told of, behind this place in the outbox, oldest first.
    fn raises(&self, after: i64, limit: usize) -> BoxFuture<'_, Result<Vec<Raise>, StoreFailure>>;

    /// Looks for what has had its time, beside everything else. Where the store can remove it by itself it does.
    fn sweep(&self, sweep: Sweep) -> BoxFuture<'_, Result<Swept, StoreFailure>>;

    /// Whatever the store does by itself, unasked, it does only while this says that the database is well.
    fn heed(&self, _calm: Calm) {}

    /// What processes share, where several may work on the store. Then nobody's memory holds everything: `waiting` finds
    /// nothing, and what is ready is learnt from here.
    fn shared(&self) -> Option<&dyn Shared> {
        None
    }
}
