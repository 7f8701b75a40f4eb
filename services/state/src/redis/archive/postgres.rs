//! The store in a PostgreSQL, as a decider in front of it needs it.

mod fences;
mod flush;
mod switch;

use std::{sync::Arc, time::Duration};

use futures::{FutureExt as _, future::BoxFuture};
use holdfast_storage::{
    Class, Failure, Trouble,
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

/// What is done on a connection. An end without an error leaves no transaction open.
type Work<'a, R> = dyn for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, Result<R, Trouble>> + Send + Sync + 'a;

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

    /// A connection whose work is done. One that failed is dropped instead: what has become of it is not known.
    fn give_back(&self, connection: PgConnection) {
        let mut spare = self.spare.lock();
        if spare.len() < SPARE_MAX {
            spare.push(connection);
        }
    }

    /// One transaction, or several, on a connection of its own. A spare one may have died unnoticed, and the others with it:
    /// then all is done once anew on another one, which whatever was done of it before bears.
    async fn work<R>(&self, work: &Work<'_, R>) -> Result<R, Failure> {
        let spare = self.spare.lock().pop();
        if let Some(mut connection) = spare {
            match work(&mut connection).await.map_err(Failure::from) {
                Err(failure) if failure.class() == Class::Io => self.spare.lock().clear(),
                done => return self.done(connection, done),
            }
        }
        let mut connection = self.store.database().connect().await?;
        let done = work(&mut connection).await.map_err(Failure::from);
        self.done(connection, done)
    }

    fn done<R>(&self, connection: PgConnection, done: Result<R, Failure>) -> Result<R, Failure> {
        if done.is_ok() {
            self.give_back(connection);
        }
        done
    }

    /// One call, through the breaker.
    fn call<'a, R: Send + 'a>(
        &'a self,
        work: impl for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, Result<R, Trouble>> + Send + Sync + 'a,
    ) -> Kept<'a, R> {
        self.gate.call(move || async move { self.work(&work).await }.boxed()).boxed()
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
        losses: found.losses,
        lease: found.lease,
        floors: found.floors,
        fence_floor: found.fence_floor,
        same_server: found.same_server,
        shards,
    }
}

impl Archive for InPostgres {
    fn deciding(&self) -> Kept<'_, Deciding> {
        let known = self.known.lock().clone();
        let read = self.call(move |connection| read_deciding(connection, known.clone()).boxed());
        async move {
            let (found, shards) = read.await?;
            *self.known.lock() = Some(Arc::new(found.clone()));
            Ok(told(found, shards))
        }
        .boxed()
    }

    fn believe(&self, epoch: EpochId, lease: Duration) -> Kept<'_, ()> {
        self.call(move |connection| {
            async move { deciding::raise_lease(connection, epoch, lease).await.map(drop) }.boxed()
        })
    }

    fn drain(&self, epoch: EpochId) -> Kept<'_, ()> {
        self.call(move |connection| async move { deciding::begin_draining(connection, epoch).await.map(drop) }.boxed())
    }

    fn flush(&self, epoch: EpochId, prefixes: Vec<Prefix>) -> BoxFuture<'_, Result<Vec<Flushed>, Unflushed>> {
        let prefixes: Arc<[Prefix]> = prefixes.into();
        let stored = self.call(move |connection| {
            let prefixes = Arc::clone(&prefixes);
            async move { flush::flush(connection, epoch, &prefixes).await }.boxed()
        });
        async move { stored.await.map_err(Unflushed::Failed)?.ok_or(Unflushed::Ended) }.boxed()
    }

    fn clean(&self, epoch: EpochId, shard: ShardId, at: Seq) -> Kept<'_, bool> {
        self.call(move |connection| async move { flush::clean(connection, epoch, shard, at).await }.boxed())
    }

    fn switch<'a>(&'a self, from: EpochId, to: Who, open: Open<'a>) -> Kept<'a, Option<Switched>> {
        // Not through the breaker's patience: all shards are opened meanwhile.
        async move {
            // It is done once: on a connection that is certainly alive.
            let mut connection = self.store.database().connect().await?;
            let switched = switch::switch(&mut connection, from, &to, open).await?;
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
        self.call(move |connection| {
            let holder = holder.clone();
            async move { fences::confirm(connection, epoch, &holder, copy).await }.boxed()
        })
    }

    fn raise_fence<'a>(
        &'a self,
        epoch: EpochId,
        scope: &'a FenceScope,
        number: u64,
    ) -> Kept<'a, Option<(Fence, Vec<ShardId>)>> {
        self.call(move |connection| {
            let scope = scope.clone();
            async move { fences::raise(connection, epoch, &scope, number).await }.boxed()
        })
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

/// Ends a transaction in which nothing was done, and its locks with it: one that is only dropped keeps them until its
/// connection is used again.
async fn leave<R>(tx: sqlx::Transaction<'_, sqlx::Postgres>, answer: R) -> Result<R, Trouble> {
    tx.rollback().await?;
    Ok(answer)
}

#[cfg(test)]
mod tests;
