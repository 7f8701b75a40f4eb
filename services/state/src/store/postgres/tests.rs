//! The list that every store passes, and what several processes on one database promise.

mod deciding;
mod knowledge;
mod late;
mod plans;
mod schema;
mod speed;
mod upkeep;

use holdfast_storage::{Class, Failure, Trouble};
use holdfast_testkit::Postgres as Server;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

use super::deciding::{Deciding, Who};
use super::tables::{self, Advance, Decides, Lock};
use super::{Store, deciding as decider, sweep};
use crate::domain::{EpochId, Epochs, Seq, Vector};
use crate::place::Identity;
use crate::store::conformance::{Backend, CHECKS, Running, Told, partition};
use crate::store::{FenceChange, LostEpoch, Retention, Shelf, Step, Swept};

/// A server of a test's own; every store on it has a schema of its own.
struct Schema<'s> {
    server: &'s Server,
    name: String,
}

impl Schema<'_> {
    async fn process(&self) -> Process {
        Process::start(&self.server.url(), &self.name).await
    }
}

impl Backend for Schema<'_> {
    fn open(&self) -> Told<'_, Box<dyn Running>> {
        Box::pin(async { Box::new(self.process().await) as Box<dyn Running> })
    }
}

/// One process: what it knows, and a connection of its own.
struct Process {
    store: Store,
    connection: PgConnection,
    known: Deciding,
}

impl Process {
    async fn start(url: &str, schema: &str) -> Self {
        let store = Store::open_in(url, schema, 1_000).await.unwrap();
        let connection = store.database().connect().await.unwrap();
        let known = store.deciding().await.unwrap();
        Self { store, connection, known }
    }

    async fn learn(&mut self) -> &Deciding {
        self.known = decider::renew(&mut self.connection, &self.known).await.unwrap();
        &self.known
    }

    /// One transaction of who decides, or flushes, by what this process knows.
    async fn try_flush(&mut self, from: Seq, steps: &[Step]) -> Result<(), Trouble> {
        let shard = partition().shard();
        let mut tx = self.connection.begin().await?;
        let row = tables::lock_shards(&mut tx, &[shard], Lock::Wait).await?.remove(0);
        let expected = (self.known.epoch, self.known.who.decides(), from, true);
        if (row.epoch, row.who, row.position, row.same_server) != expected {
            return Err(Trouble::Failed(Failure::new(Class::Statement, "somebody came before")));
        }
        let (mut changes, mut to) = (Vec::new(), from);
        for step in steps {
            match step {
                Step::Write { changes: made, marks } => {
                    to = to.max(made.iter().map(|change| change.edition.seq).max().unwrap_or(0));
                    changes.extend(made.iter().cloned());
                    if marks.is_some() {
                        assert!(tables::mark(&mut tx, shard, row.epoch, *marks).await?.is_some());
                    }
                }
                Step::Drop { edition, floor, .. } => {
                    tables::set_floor(&mut tx, shard, floor).await?;
                    assert!(tables::drop_record(&mut tx, edition).await?);
                }
                Step::Clean => assert!(tables::mark(&mut tx, shard, row.epoch, None).await?.is_some()),
                Step::Barrier => {}
            }
        }
        let advance = (to > from).then_some(Advance { shard, from, to });
        tables::store(&mut tx, &changes, advance.as_slice()).await?;
        Ok(tx.commit().await?)
    }

    /// Somebody changes who decides.
    async fn switch(&mut self, to: Who, lost: bool) -> decider::Switched {
        let next = EpochId(rand::random());
        let switched = decider::switch(&mut self.connection, self.known.epoch, (next, &to), lost, 2_000).await.unwrap();
        self.known = switched.deciding.clone();
        switched
    }

    async fn ask<A: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>>(&mut self, sql: &str) -> A {
        sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut self.connection).await.unwrap().get(0)
    }
}

/// A life of a Redis.
fn redis(life: &str) -> Who {
    Who::Redis { identity: Identity(life.into()) }
}

impl Running for Process {
    fn shelf(&self) -> &dyn Shelf {
        &self.store
    }

    fn position(&mut self) -> Told<'_, u64> {
        Box::pin(async {
            let rows = tables::read_shards(&mut self.connection, &[partition().shard()]).await.unwrap();
            rows[0].position
        })
    }

    fn flush(&mut self, from: u64, steps: Vec<Step>) -> Told<'_, Result<(), Failure>> {
        Box::pin(async move { self.try_flush(from, &steps).await.map_err(Failure::from) })
    }

    fn write_fence(&mut self, change: FenceChange) -> Told<'_, ()> {
        Box::pin(async move { tables::write_fences(&mut self.connection, &[change]).await.unwrap() })
    }

    fn decide_in_a_cache(&mut self) -> Told<'_, ()> {
        Box::pin(async {
            assert!(self.switch(redis("first"), false).await.ours);
        })
    }

    /// As who finds that the Redis is another one.
    fn recover(&mut self) -> Told<'_, Option<LostEpoch>> {
        Box::pin(async {
            let shards: Vec<_> = crate::domain::ShardId::all().collect();
            let rows = tables::read_shards(&mut self.connection, &shards).await.unwrap();
            assert!(rows.iter().all(|row| row.who == Decides::Redis));
            if rows.iter().all(|row| row.dirty.is_none()) {
                return None;
            }
            self.switch(redis("second"), true).await.lost
        })
    }

    fn epochs(&mut self) -> Told<'_, Epochs> {
        Box::pin(async { self.learn().await.epochs.as_ref().clone() })
    }

    fn floor(&mut self) -> Told<'_, Vector> {
        Box::pin(async {
            let row = tables::read_shards(&mut self.connection, &[partition().shard()]).await.unwrap().remove(0);
            assert_eq!(self.learn().await.floors[partition().shard().index()], row.floor);
            row.floor
        })
    }

    fn fence_floor(&mut self) -> Told<'_, u64> {
        Box::pin(async { self.learn().await.fence_floor })
    }

    fn sweep_history(&mut self, after: Seq, rows: usize, keep: Retention) -> Told<'_, Swept> {
        let shard = partition().shard();
        Box::pin(async move { sweep::sweep_history(&mut self.connection, shard, after, rows, keep).await.unwrap() })
    }

    fn sweep_fences(&mut self, horizon: u64) -> Told<'_, ()> {
        Box::pin(async move {
            let mut tx = self.connection.begin().await.unwrap();
            if let Some(floor) = sweep::raise_fence_floor(&mut tx, horizon).await.unwrap() {
                sweep::drop_fences(&mut tx, floor, 100).await.unwrap();
            }
            tx.commit().await.unwrap();
        })
    }

    fn fold_epochs(&mut self, epochs: Vec<EpochId>) -> Told<'_, ()> {
        Box::pin(async move {
            let mut tx = self.connection.begin().await.unwrap();
            sweep::fold_epochs(&mut tx, &epochs).await.unwrap();
            tx.commit().await.unwrap();
        })
    }
}

#[tokio::test]
async fn postgres_does_what_every_store_must() {
    let server = Server::start().await;
    for (number, (promise, check)) in CHECKS.into_iter().enumerate() {
        println!("{promise}");
        check(&Schema { server: &server, name: format!("check_{number}") }).await;
    }
}
