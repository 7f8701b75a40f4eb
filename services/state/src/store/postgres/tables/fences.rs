//! Fences: this is their home. They never fall, and one that a transaction has read stays until it ends.

use std::collections::BTreeMap;

use holdfast_storage::Trouble;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};

use crate::domain::{EpochId, Fence, ShardId};
use crate::store::postgres::rows;
use crate::store::{FenceChange, FenceScope};

pub(in crate::store::postgres) const SHARE: &str = include_str!("share_fences.sql");
pub(in crate::store::postgres) const WRITE: &str = include_str!("write_fences.sql");
pub(in crate::store::postgres) const CONFIRM: &str = include_str!("confirm_fence.sql");

/// Fences that count, with the oldest that is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fences {
    /// In the order of what was asked; `None` where none is remembered.
    pub fences: Vec<Option<Fence>>,
    /// What is below may be superseded by a fence that is forgotten.
    pub floor: u64,
}

/// Fences, locked (FOR SHARE) until the end of the transaction: whoever raises one waits for it. A scope without one is not
/// locked: nobody writes under it without registering first.
///
/// # Errors
/// What the database says.
pub async fn share_fences(tx: &mut PgConnection, scopes: &[FenceScope]) -> Result<Fences, Trouble> {
    let tenants: Vec<_> = scopes.iter().map(|scope| &*scope.tenant).collect();
    let names: Vec<_> = scopes.iter().map(|scope| rows::plain(&scope.name)).collect();
    let found = sqlx::query(SHARE).bind(tenants).bind(names).fetch_all(&mut *tx).await?;
    let mut fences = vec![None; scopes.len()];
    for row in &found {
        let place = rows::number(row, 0)? as usize;
        fences[place - 1] = Some(fence(row, 1)?);
    }
    // Read after that, so that it covers what was forgotten while the locks were waited for.
    let floor = sqlx::query("SELECT fence_floor FROM deciders WHERE only_row = 1").fetch_one(tx).await?;
    Ok(Fences { fences, floor: rows::number(&floor, 0)? })
}

/// Makes fences count, but where a newer one does, or one as new that nobody holds any more; and nothing below the oldest that
/// is remembered. What is noted about copies stays: see [`fence_shards`].
///
/// # Errors
/// What the database says.
pub async fn write_fences(tx: &mut PgConnection, changes: &[FenceChange]) -> Result<(), Trouble> {
    // One for each scope, all in one order for everybody.
    let mut newest: BTreeMap<(&str, String), &Fence> = BTreeMap::new();
    for FenceChange { scope, fence } in changes {
        let slot = newest.entry((&scope.tenant, rows::plain(&scope.name).into_owned())).or_insert(fence);
        if fence.number > slot.number || (fence.number == slot.number && fence.lease.is_none()) {
            *slot = fence;
        }
    }
    let (scopes, fences): (Vec<_>, Vec<_>) = newest.into_iter().unzip();
    let (tenants, names): (Vec<_>, Vec<_>) = scopes.into_iter().unzip();
    let numbers: Vec<_> = fences.iter().map(|fence| rows::signed(fence.number)).collect();
    let leases: Vec<_> = fences.iter().map(|fence| fence.lease.as_deref().map(rows::plain)).collect();
    sqlx::query(WRITE).bind(tenants).bind(names).bind(numbers).bind(leases).execute(tx).await?;
    Ok(())
}

/// Says whether a fence counts, and if so notes that a shard has a copy of it in this epoch's place of decision. The copy may be
/// installed once this is committed: whoever raises the fence afterwards finds the note.
///
/// # Errors
/// What the database says.
pub async fn confirm_fence(
    connection: &mut PgConnection,
    epoch: EpochId,
    scope: &FenceScope,
    fence: &Fence,
    shard: ShardId,
) -> Result<bool, Trouble> {
    let confirmed = sqlx::query(CONFIRM)
        .bind(&*scope.tenant)
        .bind(rows::plain(&scope.name))
        .bind(rows::signed(fence.number))
        .bind(fence.lease.as_deref().map(rows::plain))
        .bind(rows::signed(epoch.0))
        .bind(1_i64 << shard.index())
        .execute(connection)
        .await?;
    Ok(confirmed.rows_affected() > 0)
}

/// The shards that were given copies of a scope's fence in this epoch. To be read after the raise is committed: a copy that is
/// confirmed later is of the new fence.
///
/// # Errors
/// What the database says.
pub async fn fence_shards(
    connection: &mut PgConnection,
    epoch: EpochId,
    scope: &FenceScope,
) -> Result<Vec<ShardId>, Trouble> {
    let copies: Option<i64> =
        sqlx::query_scalar("SELECT copies FROM fences WHERE tenant = $1 AND scope = $2 AND copies_epoch = $3")
            .bind(&*scope.tenant)
            .bind(rows::plain(&scope.name))
            .bind(rows::signed(epoch.0))
            .fetch_optional(connection)
            .await?;
    let copies = copies.unwrap_or(0);
    Ok(ShardId::all().filter(|shard| copies & (1 << shard.index()) != 0).collect())
}

/// A fence in the columns from `at` on.
pub(in crate::store::postgres) fn fence(row: &PgRow, at: usize) -> sqlx::Result<Fence> {
    let lease: Option<&str> = row.try_get(at + 1)?;
    Ok(Fence { number: rows::number(row, at)?, lease: lease.map(Into::into) })
}
