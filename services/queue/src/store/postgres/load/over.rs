//! What has ended, and what stands apart from `live`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use holdfast_storage::{Class, Failure, Trouble};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row};
use uuid::Uuid;

use super::super::rows;
use super::super::set::{Over, Set, session_number};
use crate::domain::invocation::Payload;

/// Locks ends that may be redriven, and names the sessions that they would join.
pub(super) async fn load_redriven(
    tx: &mut PgConnection,
    set: &mut Set,
    sessions: &mut HashSet<i64>,
    ids: &HashSet<Uuid>,
) -> Result<(), Trouble> {
    let ids: Vec<Uuid> = ids.iter().copied().filter(|id| !set.entries.contains_key(id)).collect();
    if ids.is_empty() {
        return Ok(());
    }
    const SQL: &str = include_str!("../redriven.sql");
    let sql = SQL.replace("{accepted}", rows::ACCEPTED).replace("{ended}", rows::ENDED);
    for row in sqlx::query(AssertSqlSafe(sql)).bind(ids).fetch_all(&mut *tx).await? {
        let accepted = rows::accepted(&row, 0)?;
        let ended = rows::ended(&row, rows::ACCEPTED_COLUMNS, None)?;
        sessions.extend(accepted.session.as_ref().map(|name| session_number(&accepted.tenant, name)));
        let (id, tenant, accepted_at) = (accepted.id, Arc::clone(&accepted.tenant), accepted.at);
        set.over.insert(id, Over { tenant, accepted_at, ended, accepted: Some(Arc::new(accepted)) });
    }
    Ok(())
}

/// Whether [`load`] finds something of what is alive.
pub(super) fn has_history(row: &rows::LiveRow) -> bool {
    was_tried(row) || was_redriven(row)
}

fn was_tried(row: &rows::LiveRow) -> bool {
    row.live.tries > 0
}

fn was_redriven(row: &rows::LiveRow) -> bool {
    row.live.redrives > 0
}

/// Loads the ends of what was not found alive, and the history of what has one.
pub(super) async fn load(tx: &mut PgConnection, set: &mut Set, ids: &HashSet<Uuid>) -> Result<(), Trouble> {
    let gone: Vec<Uuid> =
        ids.iter().copied().filter(|id| !set.entries.contains_key(id) && !set.over.contains_key(id)).collect();
    if !gone.is_empty() {
        ends(tx, set, gone).await?;
    }
    let live = |has: fn(&rows::LiveRow) -> bool| {
        let rows = set.entries.values().filter_map(|entry| entry.row.as_ref());
        rows.filter(move |row| has(row)).map(|row| row.at.id)
    };
    let over = || set.over.keys().copied();
    let tried: Vec<Uuid> = live(was_tried).chain(over()).collect();
    let redriven: Vec<Uuid> = live(was_redriven).chain(over()).collect();
    set.tries = tries(tx, tried).await?;
    set.past_ends = past_ends(tx, redriven).await?;
    Ok(())
}

async fn ends(tx: &mut PgConnection, set: &mut Set, gone: Vec<Uuid>) -> Result<(), Trouble> {
    const SQL: &str = include_str!("../ends.sql");
    let sql = SQL.replace("{ended}", rows::ENDED);
    for row in sqlx::query(AssertSqlSafe(sql)).bind(gone).fetch_all(&mut *tx).await? {
        if row.try_get::<Option<i32>, _>(3)?.is_none() {
            // It was there a moment ago, or is again: another process moves it just now.
            return Err(Trouble::Again(Failure::new(Class::Busy, "an invocation is being redriven")));
        }
        let (tenant, accepted_at) = (row.try_get::<&str, _>(1)?.into(), row.try_get(2)?);
        let ended = rows::ended(&row, 3, None)?;
        set.over.insert(row.try_get(0)?, Over { tenant, accepted_at, ended, accepted: None });
    }
    Ok(())
}

pub(in super::super) async fn tries(
    tx: &mut PgConnection,
    ids: Vec<Uuid>,
) -> sqlx::Result<HashMap<Uuid, Vec<crate::domain::record::Try>>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    const SQL: &str = include_str!("../tries.sql");
    let sql = SQL.replace("{tries}", rows::TRIES);
    by_id(sqlx::query(AssertSqlSafe(sql)).bind(ids).fetch_all(tx).await?, |row| rows::tried(row, 1))
}

pub(in super::super) async fn past_ends(
    tx: &mut PgConnection,
    ids: Vec<Uuid>,
) -> sqlx::Result<HashMap<Uuid, Vec<crate::domain::record::PastEnd>>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    const SQL: &str = include_str!("../past_ends.sql");
    let sql = SQL.replace("{ended}", rows::ENDED);
    by_id(sqlx::query(AssertSqlSafe(sql)).bind(ids).fetch_all(tx).await?, rows::past_end)
}

fn by_id<A>(found: Vec<PgRow>, read: impl Fn(&PgRow) -> sqlx::Result<A>) -> sqlx::Result<HashMap<Uuid, Vec<A>>> {
    let mut all: HashMap<Uuid, Vec<A>> = HashMap::new();
    for row in &found {
        all.entry(row.try_get(0)?).or_default().push(read(row)?);
    }
    Ok(all)
}

/// Loads what was asked, where a claim's answer or a failure's verdict needs it.
pub(super) async fn load_asked(
    tx: &mut PgConnection,
    set: &mut Set,
    with_input: &HashSet<Uuid>,
    with_retry: &HashSet<Uuid>,
) -> Result<(), Trouble> {
    let needed = |id: &&Uuid| set.row(**id).is_some_and(|row| row.live.lease().is_none() || with_retry.contains(*id));
    let ids: Vec<Uuid> = with_input.union(with_retry).filter(needed).copied().collect();
    if ids.is_empty() {
        return Ok(());
    }
    let payloads: Vec<bool> = ids.iter().map(|id| with_input.contains(id)).collect();
    const SQL: &str = include_str!("../asked.sql");
    let sql = SQL.replace("{accepted}", rows::ACCEPTED);
    for row in sqlx::query(AssertSqlSafe(sql)).bind(ids).bind(payloads).fetch_all(&mut *tx).await? {
        let accepted = rows::accepted(&row, 0)?;
        let asked = set.asked.entry(accepted.id).or_default();
        asked.retry = Some(accepted.retry.clone());
        if let Some(data) = row.try_get::<Option<Vec<u8>>, _>(rows::ACCEPTED_COLUMNS)? {
            let content_type = row.try_get(rows::ACCEPTED_COLUMNS - 1)?;
            asked.payload = Some(Payload { data: Bytes::from(data), content_type });
        }
        asked.accepted = Some(Arc::new(accepted));
    }
    Ok(())
}
