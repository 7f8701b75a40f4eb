//! The reading side: each question is one statement, and so of one moment.

mod page;
mod past;

use std::sync::LazyLock;

use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;

use super::rows::{self, EDITION, NOTE};
use super::tables;
use crate::domain::{Address, Fence, Micros, Note, RecordId, Vector};
use crate::store::FenceScope;

pub(super) use page::page;
pub(super) use past::{changes, edition_at, history, trail};
#[cfg(test)]
pub(super) use {
    page::PAGE,
    past::{CHANGES, EDITION_AT, HISTORY, TRAIL},
};

pub(super) const FENCE: &str = "SELECT fence, lease FROM fences WHERE tenant = $1 AND scope = $2";
pub(super) const NEWEST_FENCE: &str = "SELECT fence FROM fences WHERE fence < $1 ORDER BY fence DESC LIMIT 1";
pub(super) const EXPIRED: &str = include_str!("shelf/expired.sql");
pub(super) const TOMBSTONES: &str = include_str!("shelf/tombstones.sql");
pub(super) static BLIND: LazyLock<String> = LazyLock::new(|| {
    format!("SELECT {NOTE} FROM history h WHERE h.record = $1 AND h.write_id = $2 AND h.blind LIMIT 1")
});

/// A statement with the columns of an edition, or of a note, in it.
fn with_columns(sql: &str) -> String {
    sql.replace("{edition}", EDITION).replace("{note}", NOTE)
}

pub(super) async fn blind_write(pool: &PgPool, record: RecordId, write_id: Uuid) -> sqlx::Result<Option<Note>> {
    let query = sqlx::query(AssertSqlSafe(BLIND.as_str())).bind(rows::signed(record)).bind(write_id);
    query.fetch_optional(pool).await?.map(|row| rows::note(&row, 0)).transpose()
}

pub(super) async fn fence(pool: &PgPool, scope: FenceScope) -> sqlx::Result<Option<Fence>> {
    let query = sqlx::query(FENCE).bind(&*scope.tenant).bind(rows::plain(&scope.name));
    query.fetch_optional(pool).await?.map(|row| tables::fence(&row, 0)).transpose()
}

pub(super) async fn newest_fence_below(pool: &PgPool, horizon: u64) -> sqlx::Result<Option<u64>> {
    // Fences are stored as they are: the highest has no sign.
    let horizon = i64::try_from(horizon).unwrap_or(i64::MAX);
    let found: Option<i64> = sqlx::query_scalar(NEWEST_FENCE).bind(horizon).fetch_optional(pool).await?;
    Ok(found.map(i64::cast_unsigned))
}

pub(super) async fn expired(pool: &PgPool, now: Micros, most: usize) -> sqlx::Result<Vec<(Address, Vector)>> {
    let found = sqlx::query(EXPIRED).bind(now).bind(rows::count(most)).fetch_all(pool).await?;
    found.iter().map(|row| Ok((rows::address(row, 0)?, rows::vector(row, 4)?))).collect()
}

pub(super) async fn tombstones(pool: &PgPool, horizon: Micros, most: usize) -> sqlx::Result<Vec<Address>> {
    let found = sqlx::query(TOMBSTONES).bind(horizon).bind(rows::count(most)).fetch_all(pool).await?;
    found.iter().map(|row| rows::address(row, 0)).collect()
}
