//! The shared store: any number of queue processes on one PostgreSQL.
//!
//! No process owns an invocation. Whatever is decided is decided on rows that the deciding transaction has locked, or that
//! it proves to be as this process left them; memory holds hints only.

mod announce;
mod due;
mod ledger;
mod list;
mod load;
mod members;
mod partitions;
mod read;
mod ready;
mod remembered;
mod rows;
mod save;
mod set;
mod sweep;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use holdfast_storage::{Failure, OpenError, Postgres as Database, PostgresOptions, Writer};
use sqlx::PgPool;
use tokio::sync::watch;
use uuid::Uuid;

use self::announce::{Announcer, Wire};
use self::due::Looked;
use self::ledger::{Listeners, QueueLedger};
use self::set::Counters;
use self::sweep::excess::Excess;
use super::{
    Batch, Calm, Candidate, Command, Count, Due, Filter, History, KeptLease, Line, Member, Note, Progress, Raise,
    ReadyKey, Record, Redrives, Shared, Store, Sweep, Swept, Waiting, Window, WriterId, writer,
};
use crate::domain::time::Micros;

/// The schema, so that other services can share the database.
pub const SCHEMA: &str = "holdfast_queue";
/// Connections for what callers read.
const READS_MAX: u32 = 5;
/// Connections for lists, and for retention, which looks for long: nobody waits behind them for a single invocation.
const LISTS_MAX: u32 = 3;
/// Connections for beats, notes, ready rows and announcements, the listener's included: a process that waited for them behind
/// its callers' reads would let work lie, and be taken for dead.
const DUTIES_MAX: u32 = 4;

/// The tables, version by version.
const MIGRATIONS: [(i64, &str); 4] = [
    (1, include_str!("../../migrations/postgres/1_queue.sql")),
    (2, include_str!("../../migrations/postgres/2_ready.sql")),
    (3, include_str!("../../migrations/postgres/3_invocations.sql")),
    (4, include_str!("../../migrations/postgres/4_redrives.sql")),
];

/// The queue in a database that processes share.
pub struct Postgres<T> {
    writer: Writer<T, Command>,
    reads: PgPool,
    lists: PgPool,
    duties: PgPool,
    id: WriterId,
    beats: AtomicI64,
    last_rank: Arc<AtomicI64>,
    /// Others have forgotten this process, and it came back.
    forgotten: Arc<AtomicBool>,
    looked: Arc<Looked>,
    excess: Excess,
    announcer: Announcer,
    wire: Wire,
}

impl<T: Send + 'static> Postgres<T> {
    /// Opens the queue's schema in the database of this URL. `deliver` is called once for each committed batch, on the
    /// writer's thread, which looks for the next one so long before it sleeps, at most.
    ///
    /// # Errors
    /// [`OpenError`] names the server and what to do.
    pub async fn open(
        url: &str,
        busy_poll: Duration,
        deliver: impl FnMut(Batch<T>) + Send + 'static,
    ) -> Result<Self, OpenError> {
        Self::open_in(url, SCHEMA, busy_poll, deliver).await
    }

    /// The same in another schema: each test has one of its own.
    pub(crate) async fn open_in(
        url: &str,
        schema: &str,
        busy_poll: Duration,
        deliver: impl FnMut(Batch<T>) + Send + 'static,
    ) -> Result<Self, OpenError> {
        let wanted = PostgresOptions {
            url,
            schema,
            name: "holdfast-queue",
            reads_max: READS_MAX,
            lists_max: LISTS_MAX,
            duties_max: DUTIES_MAX,
        };
        let database = Database::open(wanted, &MIGRATIONS).await?;
        let unusable = |failure| OpenError::Server { server: schema.to_owned(), failure };
        let (reads, lists) = (database.reads().clone(), database.lists().clone());
        let duties = database.duties().clone();
        let id = members::register(&duties).await.map_err(unusable)?;
        partitions::make_ahead(&duties).await.map_err(|error| unusable(error.into()))?;
        let announcer = Announcer::default();
        let wire = Wire::start(&duties, schema.to_owned(), id, announcer.clone());
        let last_rank = Arc::new(AtomicI64::new(0));
        let counters = Counters { writer: id, rank: 0, seq: 0 };
        let forgotten = Arc::new(AtomicBool::new(false));
        let looked = Arc::<Looked>::default();
        let listeners = Listeners {
            last_rank: Arc::clone(&last_rank),
            forgotten: Arc::clone(&forgotten),
            looked: Arc::clone(&looked),
            announcer: announcer.clone(),
        };
        let ledger = QueueLedger::new(counters, listeners);
        let writer = Writer::start_on_postgres(writer(busy_poll), &database, ledger, deliver)?;
        let (beats, excess) = (AtomicI64::new(0), Excess::default());
        Ok(Self { writer, reads, lists, duties, id, beats, last_rank, forgotten, looked, excess, announcer, wire })
    }
}

impl<T: Send + 'static> Store<T> for Postgres<T> {
    fn submit(&self, commands: Vec<(T, Command)>) -> Result<(), (Vec<(T, Command)>, Failure)> {
        self.writer.submit_all(commands).map_err(|refused| (refused.offered, refused.failure))
    }

    fn get(
        &self,
        id: Uuid,
        tenant: Option<String>,
        with_payload: bool,
    ) -> BoxFuture<'_, Result<Option<Record>, Failure>> {
        read::record(&self.reads, id, tenant, (with_payload, true)).map(said).boxed()
    }

    fn list(&self, filter: Filter) -> BoxFuture<'_, Result<Vec<Record>, Failure>> {
        list::list(&self.lists, filter).map(said).boxed()
    }

    fn redriven_by(&self, past: Redrives) -> BoxFuture<'_, Result<Vec<Uuid>, Failure>> {
        let found = sqlx::query_scalar(include_str!("postgres/redriven_by.sql")).bind(past.redrive).bind(past.tenant);
        let found = found.bind(past.beyond.unwrap_or(Uuid::nil())).bind(past.limit as i64);
        found.fetch_all(&self.lists).map(said).boxed()
    }

    fn history(
        &self,
        id: Uuid,
        tenant: Option<String>,
        from: u64,
        window: Window,
    ) -> BoxFuture<'_, Result<Option<History>, Failure>> {
        read::history(&self.reads, id, tenant, from, window).map(said).boxed()
    }

    fn by_key(
        &self,
        tenant: Arc<str>,
        agent: Arc<str>,
        key: String,
        digest: [u8; 32],
        since: Micros,
    ) -> BoxFuture<'_, Result<Option<(Uuid, bool)>, Failure>> {
        read::by_key(&self.reads, tenant, agent, key, digest, since).map(said).boxed()
    }

    fn waiting(&self) -> BoxFuture<'_, Result<Vec<Waiting>, Failure>> {
        std::future::ready(Ok(Vec::new())).boxed()
    }

    fn raises(&self, after: i64, limit: usize) -> BoxFuture<'_, Result<Vec<Raise>, Failure>> {
        read::raises(&self.duties, self.id, after, limit).map(said).boxed()
    }

    fn sweep(&self, sweep: Sweep) -> BoxFuture<'_, Result<Swept, Failure>> {
        sweep::sweep(&self.lists, &self.excess, sweep).map(said).boxed()
    }

    fn heed(&self, calm: Calm) {
        self.wire.heed(calm);
    }

    fn shared(&self) -> Option<&dyn Shared> {
        Some(self)
    }
}

impl<T: Send + 'static> Shared for Postgres<T> {
    fn writer(&self) -> WriterId {
        self.id
    }

    fn beat(&self, drain_rate: f64) -> BoxFuture<'_, Result<Vec<Member>, Failure>> {
        let beat = self.beats.fetch_add(1, Ordering::Relaxed) + 1;
        let last_rank = self.last_rank.load(Ordering::Relaxed);
        let own = Member { writer: self.id, beat, drain_rate, last_rank, left: false };
        members::beat(&self.duties, own, &self.forgotten).map(said).boxed()
    }

    fn was_forgotten(&self) -> bool {
        self.forgotten.swap(false, Ordering::Relaxed)
    }

    fn tail(&self, seen: Vec<ReadyKey>, limit: usize) -> BoxFuture<'_, Result<Vec<Candidate>, Failure>> {
        ready::tail(&self.duties, self.id, seen, limit).map(said).boxed()
    }

    fn line(&self, line: Line, after: Vec<ReadyKey>, limit: usize) -> BoxFuture<'_, Result<Vec<Candidate>, Failure>> {
        ready::line(&self.duties, line, after, limit).map(said).boxed()
    }

    fn lines(&self) -> BoxFuture<'_, Result<Vec<Line>, Failure>> {
        ready::lines(&self.duties).map(said).boxed()
    }

    fn counts(&self) -> BoxFuture<'_, Result<Vec<Count>, Failure>> {
        ready::counts(&self.duties).map(said).boxed()
    }

    fn due(&self, now: Micros, limit: usize) -> BoxFuture<'_, Result<Due, Failure>> {
        due::due(&self.duties, &self.looked, now, limit).map(said).boxed()
    }

    fn notes(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Note>, Failure>> {
        members::notes(&self.duties, self.id, limit).map(said).boxed()
    }

    fn leases_of(&self, writer: WriterId, limit: usize) -> BoxFuture<'_, Result<Vec<KeptLease>, Failure>> {
        members::leases_of(&self.duties, writer, limit).map(said).boxed()
    }

    fn progress(&self, ids: Vec<Uuid>) -> BoxFuture<'_, Result<Vec<Progress>, Failure>> {
        read::progress(&self.duties, ids).map(said).boxed()
    }

    fn leave(&self) -> BoxFuture<'_, Result<(), Failure>> {
        members::leave(&self.duties, self.id).map(said).boxed()
    }

    fn bury(&self, writer: WriterId) -> BoxFuture<'_, Result<(), Failure>> {
        members::bury(&self.duties, writer).map(said).boxed()
    }

    fn announce(&self) {
        self.announcer.announce();
    }

    fn heard(&self) -> watch::Receiver<u64> {
        self.wire.heard()
    }
}

fn said<A>(answer: sqlx::Result<A>) -> Result<A, Failure> {
    answer.map_err(Failure::from)
}
