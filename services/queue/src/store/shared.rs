//! The port to what several queue processes share: a store in which each learns of the others.
//!
//! No process owns an invocation. What is ready stands in the store under the writer that made it ready, with a rank that
//! rises by one for each; one writer's ranks become visible in their order. So whoever remembers the last rank of each
//! writer misses nothing, and never reads again over what was taken long ago.

use futures::future::BoxFuture;
use holdfast_storage::Failure;
use tokio::sync::watch;
use uuid::Uuid;

use crate::domain::invocation::Lease;
use crate::domain::time::Micros;

/// A queue process, as the store numbers it. No number is used twice.
pub type WriterId = i64;

/// Where a ready invocation stands: unique, and rising within a writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReadyKey {
    /// Who made it ready.
    pub writer: WriterId,
    /// In which order.
    pub rank: i64,
}

/// What takes its turn together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Line {
    /// The agent type.
    pub agent: String,
    /// Whose.
    pub tenant: String,
    /// Higher goes first.
    pub priority: i32,
}

/// An invocation that may be leased, as the store shows it. It may be taken by the time that it is claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Where it stands.
    pub key: ReadyKey,
    /// The invocation.
    pub id: Uuid,
    /// In which line.
    pub line: Line,
    /// Since when it is ready.
    pub ready_at: Micros,
    /// When it was accepted.
    pub accepted_at: Micros,
    /// The payload's size.
    pub bytes: usize,
}

/// One of the processes on the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Which.
    pub writer: WriterId,
    /// Rises as long as it lives: who sees it unchanged for long, by a monotonic clock, takes the process for dead.
    pub beat: i64,
    /// Invocations that end there in a second.
    pub drain_rate: f64,
    /// The last rank that it gave and committed: what is above it, it has not committed yet, or has committed since.
    pub last_rank: i64,
    /// It said itself that it ends: others need not wait until it is taken for dead.
    pub left: bool,
}

/// How far an invocation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Which.
    pub id: Uuid,
    /// The offset of its last event.
    pub events: u64,
    /// Whether that was its end.
    pub ended: bool,
}

/// What waits and runs of one line's agent type and tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// The agent type.
    pub agent: String,
    /// Whose.
    pub tenant: String,
    /// Waiting, for whatever.
    pub queued: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
    /// Running.
    pub leased: u64,
    /// When the oldest waiting one was accepted.
    pub oldest: Option<Micros>,
}

/// What time has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Due {
    /// Past their deadlines.
    pub expired: Vec<Uuid>,
    /// Delayed ones whose time has come.
    pub delayed: Vec<Uuid>,
    /// The next time at which there is something, where one is known.
    pub next: Option<Micros>,
}

/// A lease and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptLease {
    /// The invocation.
    pub id: Uuid,
    /// Whose.
    pub tenant: String,
    /// The agent type.
    pub agent: String,
    /// The session's name.
    pub session: Option<String>,
    /// The attempt.
    pub attempt: u32,
    /// The lease.
    pub lease: Lease,
}

/// Something that another process did, which this one must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// An invocation that somebody here may wait for has ended.
    Ended(Uuid),
    /// A lease that this process kept is over, or kept by another one now.
    LeaseOver {
        /// The invocation.
        id: Uuid,
        /// The lease.
        lease: Uuid,
        /// Why, where its holder must be told to stop: as in a heartbeat's answer.
        reason: Option<String>,
    },
}

/// What processes on one store ask it about each other. Reads see what was committed.
pub trait Shared: Send + Sync + 'static {
    /// This process.
    fn writer(&self) -> WriterId;

    /// Shows that this process lives; all that are there, itself included. A process that was buried while it was paused is
    /// there again, under its number.
    fn beat(&self, drain_rate: f64) -> BoxFuture<'_, Result<Vec<Member>, Failure>>;

    /// Whether others took this process for dead, and what it kept over, since this was last asked: it was forgotten, and
    /// came back. What they left it notes of is forgotten with it.
    fn was_forgotten(&self) -> bool;

    /// What other writers made ready after these keys (one for each writer), by writer and rank, at most so many of each.
    /// Writers that are not named are read from their beginning where they are newer than all that are named, and not at
    /// all where they are older: those were gone before the caller came, and add nothing any more.
    fn tail(&self, seen: Vec<ReadyKey>, limit: usize) -> BoxFuture<'_, Result<Vec<Candidate>, Failure>>;

    /// What is ready in a line after these keys, of all writers, this one included (one that is not named is read from its
    /// beginning), by writer and rank, at most so many of each writer.
    fn line(&self, line: Line, after: Vec<ReadyKey>, limit: usize) -> BoxFuture<'_, Result<Vec<Candidate>, Failure>>;

    /// All lines that have something ready. Dear: for a start, and now and then.
    fn lines(&self) -> BoxFuture<'_, Result<Vec<Line>, Failure>>;

    /// How much there is of everything. Dear where much waits.
    fn counts(&self) -> BoxFuture<'_, Result<Vec<Count>, Failure>>;

    /// What has become due by now, at most so many of each kind.
    fn due(&self, now: Micros, limit: usize) -> BoxFuture<'_, Result<Due, Failure>>;

    /// Takes what was noted for this process, oldest first.
    fn notes(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Note>, Failure>>;

    /// The leases that a process kept.
    fn leases_of(&self, writer: WriterId, limit: usize) -> BoxFuture<'_, Result<Vec<KeptLease>, Failure>>;

    /// How far these are; what is not there is not named.
    fn progress(&self, ids: Vec<Uuid>) -> BoxFuture<'_, Result<Vec<Progress>, Failure>>;

    /// This process ends: where it still keeps leases, others may take them over at once ([`Member::left`]), else it is
    /// forgotten.
    fn leave(&self) -> BoxFuture<'_, Result<(), Failure>>;

    /// A dead process is forgotten, once it keeps no lease any more. Nothing happens while it keeps one.
    fn bury(&self, writer: WriterId) -> BoxFuture<'_, Result<(), Failure>>;

    /// Tells other processes that there is something new for them: work, or notes. Not durable, and off the writer's way.
    /// The store does so by itself after a transaction that left notes for another process.
    fn announce(&self);

    /// Changes when another process has announced something.
    fn heard(&self) -> watch::Receiver<u64>;
}
