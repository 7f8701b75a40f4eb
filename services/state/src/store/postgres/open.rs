//! What a fresh database needs, and what another server ends.

use holdfast_storage::{Failure, Trouble};
use sqlx::PgConnection;
use tracing::{error, info};

use super::deciding::{self, Who};
use super::{Store, rows};
use crate::domain::{EpochId, Micros, ShardId};

pub(super) async fn begin(store: &Store, now: Micros) -> Result<(), Failure> {
    let mut connection = store.database.duties().acquire().await?;
    make_rows(&mut connection, now).await?;
    end_epoch_of_another_server(&mut connection, now).await.map_err(Failure::from)
}

/// The rows of who decides and of the shards. Of processes that start together the first makes them.
async fn make_rows(connection: &mut PgConnection, now: Micros) -> sqlx::Result<()> {
    let shards: Vec<_> = ShardId::all().map(rows::shard_number).collect();
    sqlx::query(include_str!("open.sql"))
        .bind(rows::signed(rand::random()))
        .bind(now)
        .bind(shards)
        .execute(&mut *connection)
        .await?;
    let duties =
        "INSERT INTO duties (duty) VALUES ('history'), ('tombstones'), ('fences'), ('epochs') ON CONFLICT DO NOTHING";
    sqlx::query(duties).execute(connection).await?;
    Ok(())
}

/// A server that took over, or was restored from a copy, may lack writes. While a Redis decides, those who know it end its
/// epoch.
async fn end_epoch_of_another_server(connection: &mut PgConnection, now: Micros) -> Result<(), Trouble> {
    let found = deciding::read(connection).await?;
    if found.same_server || found.who != Who::Postgres {
        return Ok(());
    }
    let next = EpochId(rand::random());
    let switched = deciding::switch(connection, found.epoch, (next, &Who::Postgres), true, now).await?;
    match switched.lost {
        Some(lost) => {
            error!(epoch = %lost.ended.epoch, ?lost.bound, "this is another PostgreSQL: the epoch ended, with loss")
        }
        None => info!(epoch = %switched.deciding.epoch, "another process has ended the epoch"),
    }
    Ok(())
}
