//! Fences without waiting for anybody: what another transaction holds is left out.

use std::sync::LazyLock;

use holdfast_storage::Trouble;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use super::fences::fence;
use crate::domain::Fence;
use crate::store::FenceScope;
use crate::store::postgres::deciding::Deciding;
use crate::store::postgres::rows;

pub(in crate::store::postgres) static SHARE: LazyLock<String> =
    LazyLock::new(|| include_str!("try_fences.sql").replace("{lock}", "SHARE"));
pub(in crate::store::postgres) static HOLD: LazyLock<String> =
    LazyLock::new(|| include_str!("try_fences.sql").replace("{lock}", "NO KEY UPDATE"));
pub(in crate::store::postgres) const READ: &str = include_str!("read_fences.sql");
pub(in crate::store::postgres) const SHARE_DECIDER: &str = include_str!("share_decider.sql");

/// What to do with fences until the transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Nobody raises them.
    Share,
    /// Nobody else reads them for a write either: they are to be raised.
    Hold,
}

/// One fence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tried {
    /// It is this, or there is none (which nothing keeps from being made: nobody writes under it without registering first).
    Here(Option<Fence>),
    /// Another transaction holds it.
    Busy,
}

/// Locks fences until the end of the transaction, without waiting. With the oldest fence that is remembered.
///
/// # Errors
/// What the database says.
pub async fn try_fences(
    tx: &mut PgConnection,
    scopes: &[FenceScope],
    keep: Keep,
) -> Result<(Vec<Tried>, u64), Trouble> {
    let statement = if keep == Keep::Share { &SHARE } else { &HOLD };
    let (tenants, names) = columns(scopes);
    let found = sqlx::query(AssertSqlSafe(statement.as_str())).bind(tenants).bind(names).fetch_all(tx).await?;
    let (mut tried, mut floor) = (vec![Tried::Here(None); scopes.len()], 0);
    for row in &found {
        let place = rows::number(row, 0)? as usize;
        let (there, got): (bool, Option<i64>) = (row.try_get(1)?, row.try_get(2)?);
        tried[place - 1] = match (there, got) {
            (_, Some(_)) => Tried::Here(Some(fence(row, 2)?)),
            (true, None) => Tried::Busy,
            (false, None) => Tried::Here(None),
        };
        floor = rows::number(row, 4)?;
    }
    Ok((tried, floor))
}

/// Fences without a lock, with the oldest that is remembered, as long as this knowledge of who decides holds. `None`: it does
/// not hold any more.
///
/// # Errors
/// What the database says.
pub async fn read_fences(
    connection: &mut PgConnection,
    known: &Deciding,
    scopes: &[FenceScope],
) -> Result<Option<(Vec<Option<Fence>>, u64)>, Trouble> {
    let (tenants, names) = columns(scopes);
    let query = sqlx::query(READ).bind(tenants).bind(names);
    let query = query.bind(rows::signed(known.epoch.0)).bind(known.who.decides().name());
    let found = query.fetch_all(connection).await?;
    if found.len() < scopes.len() {
        return Ok(None);
    }
    let (mut fences, mut floor) = (vec![None; scopes.len()], 0);
    for row in &found {
        let place = rows::number(row, 0)? as usize;
        if row.try_get::<Option<i64>, _>(1)?.is_some() {
            fences[place - 1] = Some(fence(row, 1)?);
        }
        floor = rows::number(row, 3)?;
    }
    Ok(Some((fences, floor)))
}

/// Keeps who decides until the transaction ends, where it is as is known; whether it is.
///
/// # Errors
/// What the database says.
pub async fn share_decider(tx: &mut PgConnection, known: &Deciding) -> Result<bool, Trouble> {
    let query = sqlx::query(SHARE_DECIDER).bind(rows::signed(known.epoch.0)).bind(known.who.decides().name());
    Ok(query.fetch_optional(tx).await?.is_some())
}

fn columns(scopes: &[FenceScope]) -> (Vec<&str>, Vec<std::borrow::Cow<'_, str>>) {
    scopes.iter().map(|scope| (&*scope.tenant, rows::plain(&scope.name))).unzip()
}
