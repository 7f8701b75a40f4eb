//! The embedded store: one SQLite file, one thread that writes, one that reads, and one for what may take long to find.

mod accept;
mod claim;
mod hot;
mod journal;
mod list;
mod read;
mod redrive;
mod rows;
mod settle;
mod sweep;
mod tables;
mod tell;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use holdfast_storage::{Database, Failure, Journal, OpenError, Reader, Writer};
use rusqlite_migration::{M, Migrations};
use uuid::Uuid;

use super::{
    Answer, Batch, Command, Filter, History, Raise, Record, Redrives, Store, Sweep, Swept, Waiting, Window, writer,
};
use crate::domain::time::Micros;
pub(crate) use journal::QueueJournal;

/// Reads that may wait.
const READS_MAX: usize = 4_096;
/// Lists that may wait: they have a thread of their own, so that nobody waits behind one for a single invocation.
const LISTS_MAX: usize = 64;

/// The name of the database and of its lock.
pub const NAME: &str = "queue";

/// The tables, version by version.
#[must_use]
pub fn migrations() -> Migrations<'static> {
    Migrations::new(vec![
        M::up(include_str!("../../migrations/sqlite/1_invocations.sql")),
        M::up(include_str!("../../migrations/sqlite/2_deadlines.sql")),
        M::up(include_str!("../../migrations/sqlite/3_lifecycle.sql")),
        M::up(include_str!("../../migrations/sqlite/4_checks.sql")),
        M::up(include_str!("../../migrations/sqlite/5_redrives.sql")),
    ])
}

/// The queue in a data directory.
pub struct Sqlite<T> {
    writer: Writer<T, Command>,
    reader: Reader,
    lister: Reader,
}

impl<T: Send + 'static> Sqlite<T> {
    /// Opens `<directory>/queue.db`. `deliver` is called once for each committed batch, on the writer's thread, which looks for
    /// the next one so long before it sleeps, at most.
    ///
    /// # Errors
    /// [`OpenError`] names the path and what to do.
    pub fn open(
        directory: &Path,
        busy_poll: Duration,
        deliver: impl FnMut(Batch<T>) + Send + 'static,
    ) -> Result<Self, OpenError> {
        Self::open_with(QueueJournal, directory, busy_poll, deliver)
    }

    /// The same with another journal: tests plant their faults there.
    pub(crate) fn open_with(
        journal: impl Journal<Command = Command, Answer = Answer>,
        directory: &Path,
        busy_poll: Duration,
        deliver: impl FnMut(Batch<T>) + Send + 'static,
    ) -> Result<Self, OpenError> {
        let database = Database::open(directory, NAME, &migrations())?;
        let reader = |name, reads_max| {
            Reader::start(name, database.clone(), reads_max)
                .map_err(|source| OpenError::Directory { path: directory.to_path_buf(), source })
        };
        let (reader, lister) = (reader("queue-reader", READS_MAX)?, reader("queue-lister", LISTS_MAX)?);
        Ok(Self { writer: Writer::start(writer(busy_poll), database, journal, deliver)?, reader, lister })
    }
}

impl<T: Send + 'static> Store<T> for Sqlite<T> {
    fn submit(&self, commands: Vec<(T, Command)>) -> Result<(), (Vec<(T, Command)>, Failure)> {
        self.writer.submit_all(commands).map_err(|refused| (refused.offered, refused.failure))
    }

    fn get(
        &self,
        id: Uuid,
        tenant: Option<String>,
        with_payload: bool,
    ) -> BoxFuture<'_, Result<Option<Record>, Failure>> {
        self.reader.read(move |tx| read::record(tx, id, tenant.as_deref(), (with_payload, true))).boxed()
    }

    fn list(&self, filter: Filter) -> BoxFuture<'_, Result<Vec<Record>, Failure>> {
        self.lister.read(move |tx| list::list(tx, &filter)).boxed()
    }

    fn redriven_by(&self, past: Redrives) -> BoxFuture<'_, Result<Vec<Uuid>, Failure>> {
        self.lister.read(move |tx| redrive::redriven_by(tx, &past)).boxed()
    }

    fn history(
        &self,
        id: Uuid,
        tenant: Option<String>,
        from: u64,
        window: Window,
    ) -> BoxFuture<'_, Result<Option<History>, Failure>> {
        self.reader.read(move |tx| read::history(tx, id, tenant.as_deref(), from, window)).boxed()
    }

    fn by_key(
        &self,
        tenant: Arc<str>,
        agent: Arc<str>,
        key: String,
        digest: [u8; 32],
        since: Micros,
    ) -> BoxFuture<'_, Result<Option<(Uuid, bool)>, Failure>> {
        self.reader.read(move |tx| accept::by_key(tx, &tenant, &agent, &key, &digest, since)).boxed()
    }

    fn waiting(&self) -> BoxFuture<'_, Result<Vec<Waiting>, Failure>> {
        self.reader.read(read::waiting).boxed()
    }

    fn raises(&self, after: i64, limit: usize) -> BoxFuture<'_, Result<Vec<Raise>, Failure>> {
        self.reader.read(move |tx| read::raises(tx, after, limit)).boxed()
    }

    fn sweep(&self, sweep: Sweep) -> BoxFuture<'_, Result<Swept, Failure>> {
        self.lister.read(move |tx| sweep::sweep(tx, &sweep)).boxed()
    }
}

#[cfg(test)]
mod tests;
