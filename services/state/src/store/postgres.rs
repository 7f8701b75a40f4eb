//! The store that processes share: one schema in a PostgreSQL.
//!
//! What decides, or takes decisions here from a Redis, works with [`tables`] under the locks of its shards' rows; who decides
//! stands in one row ([`deciding`]). Reads are short statements, each of one moment, and take no lock.

pub mod deciding;
mod open;
mod rows;
mod shelf;
pub mod sweep;
pub mod tables;
pub mod upkeep;

use futures::future::{BoxFuture, FutureExt as _};
use holdfast_storage::{Failure, OpenError, Postgres, PostgresOptions};
use uuid::Uuid;

use super::{Changes, ChangesQuery, FenceScope, HistoryQuery, Page, PageQuery, Shelf, TrailQuery};
use crate::domain::{Address, Edition, Fence, Micros, Note, RecordId, Trail, Vector};
use deciding::Deciding;

/// The schema, so that other services can share the database.
pub const SCHEMA: &str = "holdfast_state";
/// Connections for what callers read.
const READS_MAX: u32 = 8;
/// Connections for pages and histories: nobody waits behind one for a single record, and no watch does.
const LISTS_MAX: u32 = 4;
/// Connections for what the process does of its own accord.
const DUTIES_MAX: u32 = 4;

/// The tables, version by version.
const MIGRATIONS: [(i64, &str); 1] = [(1, include_str!("../../migrations/postgres/1_state.sql"))];

/// The tables of the state service in a database.
#[derive(Debug, Clone)]
pub struct Store {
    database: Postgres,
}

impl Store {
    /// Opens the schema in the database of this URL, and makes what a fresh one needs; processes may start together. Where
    /// this is another server than the one that decided until now, or an older copy of it, its epoch ends here, with loss.
    ///
    /// # Errors
    /// [`OpenError`] names the server and what to do.
    pub async fn open(url: &str, now: Micros) -> Result<Self, OpenError> {
        Self::open_in(url, SCHEMA, now).await
    }

    /// The same in another schema: each test has one of its own.
    pub(crate) async fn open_in(url: &str, schema: &str, now: Micros) -> Result<Self, OpenError> {
        let wanted = PostgresOptions {
            url,
            schema,
            name: "holdfast-state",
            reads_max: READS_MAX,
            lists_max: LISTS_MAX,
            duties_max: DUTIES_MAX,
        };
        let database = Postgres::open(wanted, &MIGRATIONS).await?;
        let store = Self { database };
        open::begin(&store, now).await.map_err(|failure| OpenError::Server { server: schema.to_owned(), failure })?;
        Ok(store)
    }

    /// For lanes, which have connections of their own.
    #[must_use]
    pub fn database(&self) -> &Postgres {
        &self.database
    }

    /// Who decides.
    ///
    /// # Errors
    /// What the database says.
    pub async fn deciding(&self) -> Result<Deciding, Failure> {
        let mut connection = self.database.duties().acquire().await?;
        deciding::read(&mut connection).await.map_err(Failure::from)
    }
}

impl Shelf for Store {
    fn editions(&self, addresses: Vec<Address>) -> BoxFuture<'_, Result<Vec<Option<Edition>>, Failure>> {
        async move {
            let mut connection = self.database.reads().acquire().await?;
            tables::load(&mut connection, &addresses).await.map_err(Failure::from)
        }
        .boxed()
    }

    fn trail(&self, query: TrailQuery) -> BoxFuture<'_, Result<Trail, Failure>> {
        shelf::trail(self.database.reads(), query).map(said).boxed()
    }

    fn blind_write(&self, record: RecordId, write_id: Uuid) -> BoxFuture<'_, Result<Option<Note>, Failure>> {
        shelf::blind_write(self.database.reads(), record, write_id).map(said).boxed()
    }

    fn page(&self, query: PageQuery) -> BoxFuture<'_, Result<Page, Failure>> {
        shelf::page(self.database.lists(), query).map(said).boxed()
    }

    fn fence(&self, scope: FenceScope) -> BoxFuture<'_, Result<Option<Fence>, Failure>> {
        shelf::fence(self.database.reads(), scope).map(said).boxed()
    }

    fn newest_fence_below(&self, horizon: u64) -> BoxFuture<'_, Result<Option<u64>, Failure>> {
        shelf::newest_fence_below(self.database.reads(), horizon).map(said).boxed()
    }

    fn history(&self, query: HistoryQuery) -> BoxFuture<'_, Result<Vec<Edition>, Failure>> {
        shelf::history(self.database.lists(), query).map(said).boxed()
    }

    fn edition_at(&self, address: Address, vector: Vector) -> BoxFuture<'_, Result<Option<Edition>, Failure>> {
        shelf::edition_at(self.database.reads(), address, vector).map(said).boxed()
    }

    fn changes(&self, query: ChangesQuery) -> BoxFuture<'_, Result<Changes, Failure>> {
        shelf::changes(self.database.reads(), query).map(said).boxed()
    }

    fn expired(&self, now: Micros, most: usize) -> BoxFuture<'_, Result<Vec<(Address, Vector)>, Failure>> {
        shelf::expired(self.database.duties(), now, most).map(said).boxed()
    }

    fn tombstones(&self, horizon: Micros, most: usize) -> BoxFuture<'_, Result<Vec<Address>, Failure>> {
        shelf::tombstones(self.database.duties(), horizon, most).map(said).boxed()
    }
}

fn said<A>(answer: sqlx::Result<A>) -> Result<A, Failure> {
    answer.map_err(Failure::from)
}

#[cfg(test)]
mod tests;
