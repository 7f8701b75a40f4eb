//! The store in a PostgreSQL, as a decider in front of it needs it.

mod fences;
mod flush;
mod switch;

use std::{sync::Arc, time::Duration};

use futures::{FutureExt as _, future::BoxFuture};
use holdfast_storage::{
    Failure, Trouble,
    gate::{Gate, settings},
};
use parking_lot::Mutex;
use sqlx::{Connection as _, PgConnection};

use super::{Archive, Deciding, Flushed, Kept, Open, Prefix, ShardState, Switched, Unflushed, Who};
use crate::{
    domain::{EpochId, Fence, Seq, ShardId, Standing},
    metrics,
    store::{
        FenceScope,
        postgres::{Store, deciding, tables},
    },
    write::Holder,
};

/// How long the database may take for one transaction.
const PATIENCE: Duration = Duration::from_secs(5);
/// Connections that are kept for the next transactions.
const SPARE_MAX: usize = 8;

/// The store.
pub struct InPostgres {
    store: Store,
    gate: Gate,
    spare: Mutex<Vec<PgConnection>>,
    known: Mutex<Option<Arc<deciding::Deciding>>>,
}

impl InPostgres {
    /// Over an opened store.
    pub fn new(store: Store) -> Self {
        let circuit = "state-database-flush";
        metrics::circuit_stands(circuit, holdfast_resilience::breaker::State::Closed);
        let gate = Gate::new(circuit, settings(), PATIENCE, metrics::circuit_changed);
        Self { store, gate, spare: Mutex::default(), known: Mutex::default() }
    }

    async fn connection(&self) -> Result<PgConnection, Failure> {
        let spare = self.spare.lock().pop();
        match spare {
            Some(connection) => Ok(connection),
            None => self.store.database().connect().await,
        }
    }

    /// A connection whose work is done. One that failed is dropped instead: what has become of it is not known.
    fn give_back(&self, connection: PgConnection) {
        let mut spare = self.spare.lock();
        if spare.len() < SPARE_MAX {
            spare.push(connection);
        }
    }

    /// One call, through the breaker, on a connection of its own.
    fn call<'a, R: Send + 'a>(
        &'a self,
        work: impl for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<R, Trouble>> + Send + 'a,
    ) -> Kept<'a, R> {
        self.gate
            .call(move || {
                async move {
                    let mut connection = self.connection().await?;
                    let done = work(&mut connection).await.map_err(failure)?;
                    self.give_back(connection);
                    Ok(done)
                }
                .boxed()
            })
            .boxed()
    }
}

/// Reads again only what has changed since it was known.
async fn read_deciding(
    connection: &mut PgConnection,
    known: Option<Arc<deciding::Deciding>>,
) -> Result<(deciding::Deciding, Vec<ShardState>), Trouble> {
    let found = match known {
        Some(known) => deciding::renew(connection, &known).await?,
        None => deciding::read(connection).await?,
    };
    let all: Vec<_> = ShardId::all().collect();
    let rows = tables::read_shards(connection, &all).await?;
    Ok((found, rows.iter().map(|row| ShardState { position: row.position, dirty: row.dirty }).collect()))
}

fn told(found: deciding::Deciding, shards: Vec<ShardState>) -> Deciding {
    Deciding {
        epoch: found.epoch,
        who: match found.who {
            deciding::Who::Postgres => Who::Store,
            deciding::Who::Redis { identity } => Who::Place(identity),
        },
        draining: found.draining,
        epochs: found.epochs,
        floors: found.floors,
        same_server: found.same_server,
        shards,
    }
}

/// What is left of trouble where nobody tries again.
fn failure(trouble: Trouble) -> Failure {
    match trouble {
        Trouble::Again(failure) | Trouble::Failed(failure) => failure,
    }
}

impl Archive for InPostgres {
    fn deciding(&self) -> Kept<'_, Deciding> {
        let known = self.known.lock().clone();
        let read = self.call(move |connection| read_deciding(connection, known).boxed());
        async move {
            let (found, shards) = read.await?;
            *self.known.lock() = Some(Arc::new(found.clone()));
            Ok(told(found, shards))
        }
        .boxed()
    }

    fn drain(&self, epoch: EpochId) -> Kept<'_, ()> {
        self.call(move |connection| async move { deciding::begin_draining(connection, epoch).await.map(drop) }.boxed())
    }

    fn flush(&self, epoch: EpochId, prefixes: Vec<Prefix>) -> BoxFuture<'_, Result<Vec<Flushed>, Unflushed>> {
        let stored =
            self.call(move |connection| async move { flush::flush(connection, epoch, &prefixes).await }.boxed());
        async move { stored.await.map_err(Unflushed::Failed)?.ok_or(Unflushed::Ended) }.boxed()
    }

    fn clean(&self, epoch: EpochId, shard: ShardId, at: Seq) -> Kept<'_, bool> {
        self.call(move |connection| async move { flush::clean(connection, epoch, shard, at).await }.boxed())
    }

    fn switch<'a>(&'a self, from: EpochId, to: Who, open: Open<'a>) -> Kept<'a, Option<Switched>> {
        // Not through the breaker's patience: all shards are opened meanwhile.
        async move {
            let mut connection = self.connection().await?;
            let switched = switch::switch(&mut connection, from, &to, open).await.map_err(failure)?;
            self.give_back(connection);
            Ok(switched)
        }
        .boxed()
    }

    fn confirm_fence<'a>(
        &'a self,
        epoch: EpochId,
        holder: &'a Holder,
        copy: Option<ShardId>,
    ) -> Kept<'a, Option<Result<Vec<ShardId>, Standing>>> {
        let holder = holder.clone();
        self.call(move |connection| async move { fences::confirm(connection, epoch, &holder, copy).await }.boxed())
    }

    fn raise_fence<'a>(
        &'a self,
        epoch: EpochId,
        scope: &'a FenceScope,
        number: u64,
    ) -> Kept<'a, Option<(Fence, Vec<ShardId>)>> {
        let scope = scope.clone();
        self.call(move |connection| async move { fences::raise(connection, epoch, &scope, number).await }.boxed())
    }
}

/// Whether an epoch counts, which stays so until the transaction ends.
async fn counts(tx: &mut PgConnection, epoch: EpochId) -> sqlx::Result<bool> {
    let current = sqlx::query_scalar::<_, i64>("SELECT epoch FROM deciders WHERE only_row = 1 FOR SHARE");
    Ok(EpochId(current.fetch_one(tx).await?.cast_unsigned()) == epoch)
}

async fn begin(connection: &mut PgConnection) -> sqlx::Result<sqlx::Transaction<'_, sqlx::Postgres>> {
    connection.begin().await
}
