//! The end of an epoch, with the next one opened in its place while all shards' rows are locked: nothing moves in between.

use holdfast_rpc::time::now_micros;
use holdfast_storage::{Class, Failure, Trouble};
use sqlx::PgConnection;

use super::{begin, leave};
use crate::{
    domain::{Ended, EpochId, ShardId},
    place,
    redis::archive::{Open, Switched, Who},
    store::{
        Bound, LostEpoch,
        postgres::{
            deciding,
            tables::{self, Lock, ShardRow},
        },
    },
};

pub(super) async fn switch(
    connection: &mut PgConnection,
    from: EpochId,
    to: &Who,
    open: Open<'_>,
) -> Result<Option<Switched>, Trouble> {
    let mut tx = begin(connection).await?;
    let all: Vec<_> = ShardId::all().collect();
    let rows = tables::lock_shards(&mut tx, &all, Lock::Wait).await?;
    let current = sqlx::query_scalar::<_, i64>("SELECT epoch FROM deciders WHERE only_row = 1 FOR UPDATE");
    if EpochId(current.fetch_one(&mut *tx).await?.cast_unsigned()) != from {
        return leave(tx, None).await;
    }
    let next = EpochId(rand::random());
    let places = rows.iter().map(|row| (row.shard, row.position)).collect();
    open(next, places).await.map_err(unopened)?;
    let (lost, now) = (is_lost(&rows), now_micros());
    let who = match to {
        Who::Store => deciding::Who::Postgres,
        Who::Place(identity) => deciding::Who::Redis { identity: identity.clone() },
    };
    deciding::begin(&mut tx, from, (next, &who), lost, now).await?;
    tx.commit().await?;
    let lost = lost.then(|| LostEpoch {
        ended: Ended { epoch: from, at: now },
        shards: rows.iter().filter(|row| row.dirty.is_some()).map(|row| row.shard).collect(),
        bound: rows.iter().filter_map(|row| row.dirty).fold(Bound { writes: 0, bytes: 0 }, |sum, bound| Bound {
            writes: sum.writes + bound.writes,
            bytes: sum.bytes + bound.bytes,
        }),
    });
    Ok(Some(Switched { epoch: next, lost }))
}

/// Where a shard is dirty, its log was not proven whole; another server may lack anything.
fn is_lost(rows: &[ShardRow]) -> bool {
    rows.iter().any(|row| row.dirty.is_some() || !row.same_server)
}

fn unopened(trouble: place::Trouble) -> Trouble {
    Trouble::Failed(match trouble {
        place::Trouble::Away { failure, .. } => failure,
        place::Trouble::Closed => Failure::new(Class::Io, "another life of the place answers"),
    })
}
