//! The home of fences, and its notes of which shards have copies.

use std::sync::Arc;

use holdfast_storage::Trouble;
use sqlx::PgConnection;

use super::{begin, counts, leave};
use crate::{
    domain::{EpochId, Fence, ShardId, Standing, fence::standing},
    store::{FenceChange, FenceScope, postgres::tables},
    write::Holder,
};

/// Each step is one transaction, in which the epoch stays the one that counts. `None`: it is over.
pub(super) async fn confirm(
    connection: &mut PgConnection,
    epoch: EpochId,
    holder: &Holder,
    copy: Option<ShardId>,
) -> Result<Option<Result<Vec<ShardId>, Standing>>, Trouble> {
    let fence = Fence { number: holder.number, lease: Some(Arc::clone(&holder.lease)) };
    let mut tx = begin(connection).await?;
    if !counts(&mut tx, epoch).await? {
        return leave(tx, None).await;
    }
    // Written first, which does nothing where it is not newer: two calls that both looked first, and so both held its row,
    // would wait for each other.
    tables::write_fences(&mut tx, &[FenceChange { scope: holder.scope.clone(), fence: fence.clone() }]).await?;
    let held = tables::share_fences(&mut tx, std::slice::from_ref(&holder.scope)).await?;
    let known = held.fences.first().and_then(Option::as_ref);
    match standing(known, held.floor, holder.number, &holder.lease) {
        Standing::Holds => tx.commit().await?,
        // It was forgotten again meanwhile.
        Standing::Newer => return leave(tx, Some(Err(Standing::TooOld))).await,
        refused => return leave(tx, Some(Err(refused))).await,
    }
    let mut tx = begin(connection).await?;
    if !counts(&mut tx, epoch).await? {
        return leave(tx, None).await;
    }
    if let Some(shard) = copy
        && !tables::confirm_fence(&mut tx, epoch, &holder.scope, &fence, shard).await?
    {
        // Somebody has raised it since.
        return leave(tx, Some(Err(Standing::Superseded))).await;
    }
    let copies = tables::fence_shards(&mut tx, epoch, &holder.scope).await?;
    let counts = counts_now(&mut tx, &holder.scope, &fence).await?;
    tx.commit().await?;
    Ok(Some(if counts { Ok(copies) } else { Err(Standing::Superseded) }))
}

pub(super) async fn raise(
    connection: &mut PgConnection,
    epoch: EpochId,
    scope: &FenceScope,
    number: u64,
) -> Result<Option<(Fence, Vec<ShardId>)>, Trouble> {
    let fence = Fence { number, lease: None };
    tables::write_fences(connection, &[FenceChange { scope: scope.clone(), fence: fence.clone() }]).await?;
    let mut tx = begin(connection).await?;
    if !counts(&mut tx, epoch).await? {
        return leave(tx, None).await;
    }
    let copies = tables::fence_shards(&mut tx, epoch, scope).await?;
    let held = tables::share_fences(&mut tx, std::slice::from_ref(scope)).await?;
    tx.commit().await?;
    Ok(Some((held.fences.into_iter().flatten().next().unwrap_or(fence), copies)))
}

async fn counts_now(tx: &mut PgConnection, scope: &FenceScope, fence: &Fence) -> Result<bool, Trouble> {
    let held = tables::share_fences(tx, std::slice::from_ref(scope)).await?;
    Ok(held.fences.first().and_then(Option::as_ref) == Some(fence))
}
