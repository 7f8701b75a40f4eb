//! Reads beside the writer. What is put together from several statements belongs together all the same: what was appended
//! after the first of them is left out.

use std::sync::Arc;

use bytes::Bytes;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Row};
use uuid::Uuid;

use super::super::{History, Progress, Raise, RaiseScope, Window, WriterId};
use super::{load, rows};
use crate::domain::event::{Event, Report, What, status_events};
use crate::domain::invocation::Payload;
use crate::domain::record::{Record, Standing};
use crate::domain::time::Micros;

const LIVE_AT: usize = rows::ACCEPTED_COLUMNS;
const ENDED_AT: usize = LIVE_AT + rows::LIVE_COLUMNS;
const RESULT_AT: usize = ENDED_AT + rows::ENDED_COLUMNS;

/// One invocation, with its payload and its result where they are wanted.
pub(super) async fn record(
    pool: &PgPool,
    id: Uuid,
    tenant: Option<String>,
    (with_payload, with_result): (bool, bool),
) -> sqlx::Result<Option<Record>> {
    let mut connection = pool.acquire().await?;
    let found = records(&mut connection, vec![id], (with_payload, with_result)).await?;
    Ok(found.into_iter().find(|record| tenant.as_deref().is_none_or(|tenant| *tenant == *record.accepted.tenant)))
}

/// Invocations in the order of their ids.
pub(super) async fn records(
    connection: &mut PgConnection,
    ids: Vec<Uuid>,
    (with_payload, with_result): (bool, bool),
) -> sqlx::Result<Vec<Record>> {
    const SQL: &str = include_str!("records.sql");
    let sql = SQL.replace("{accepted}", rows::ACCEPTED).replace("{live}", rows::LIVE).replace("{ended}", rows::ENDED);
    let query = sqlx::query(AssertSqlSafe(sql)).bind(ids).bind(with_payload).bind(with_result);
    let (mut records, mut tried, mut redriven) = (Vec::new(), Vec::new(), Vec::new());
    for row in query.fetch_all(&mut *connection).await? {
        let Some(record) = head(&row)? else { continue };
        let (any_tries, any_past): (bool, bool) = (row.try_get(RESULT_AT + 2)?, row.try_get(RESULT_AT + 3)?);
        tried.extend(any_tries.then_some(record.accepted.id));
        redriven.extend(any_past.then_some(record.accepted.id));
        records.push(record);
    }
    histories(connection, &mut records, tried, redriven).await?;
    Ok(records)
}

fn head(row: &PgRow) -> sqlx::Result<Option<Record>> {
    let standing = if row.try_get::<Option<i32>, _>(ENDED_AT)?.is_some() {
        Standing::Ended(rows::ended(row, ENDED_AT, row.try_get(RESULT_AT)?)?)
    } else if row.try_get::<Option<Uuid>, _>(LIVE_AT)?.is_some() {
        Standing::Live(rows::live(row, LIVE_AT)?.live)
    } else {
        return Ok(None);
    };
    let data: Option<Vec<u8>> = row.try_get(RESULT_AT + 1)?;
    let content_type: String = row.try_get(LIVE_AT - 1)?;
    Ok(Some(Record {
        accepted: Arc::new(rows::accepted(row, 0)?),
        payload: data.map(|data| Payload { data: Bytes::from(data), content_type }),
        standing,
        tries: Vec::new(),
        past_ends: Vec::new(),
    }))
}

async fn histories(
    connection: &mut PgConnection,
    records: &mut [Record],
    tried: Vec<Uuid>,
    redriven: Vec<Uuid>,
) -> sqlx::Result<()> {
    if tried.is_empty() && redriven.is_empty() {
        return Ok(());
    }
    let mut tries = load::tries(connection, tried).await?;
    let mut past_ends = load::past_ends(connection, redriven).await?;
    for record in records {
        let last = last_event(&record.standing);
        record.tries = tries.remove(&record.accepted.id).unwrap_or_default();
        record.tries.retain(|tried| tried.event <= last);
        record.past_ends = past_ends.remove(&record.accepted.id).unwrap_or_default();
        record.past_ends.retain(|past| past.ended.event < last);
    }
    Ok(())
}

fn last_event(standing: &Standing) -> u64 {
    match standing {
        Standing::Live(live) => live.events,
        Standing::Ended(ended) => ended.event,
    }
}

/// The events from an offset on, as many as fit.
pub(super) async fn history(
    pool: &PgPool,
    id: Uuid,
    tenant: Option<String>,
    from: u64,
    window: Window,
) -> sqlx::Result<Option<History>> {
    let Some(record) = record(pool, id, tenant, (false, false)).await? else { return Ok(None) };
    let mut events: Vec<Event> = status_events(&record).into_iter().filter(|event| event.offset >= from).collect();
    let (reports, unread) = reports(pool, id, from, last_event(&record.standing), window).await?;
    events.extend(reports);
    // Nothing may pass a report that was not read.
    events.retain(|event| unread.is_none_or(|unread| event.offset < unread));
    events.sort_by_key(|event| event.offset);
    let mut bytes = 0;
    let fitting = events.iter().take(window.events).take_while(|event| {
        bytes += event.size();
        bytes <= window.bytes
    });
    let fit = fitting.count().max(1);
    let more = unread.is_some() || events.len() > fit;
    events.truncate(fit);
    Ok(Some(History { events, more, ended: !more && matches!(record.standing, Standing::Ended(_)) }))
}

/// The reports that fit, and the offset of the first that did not. The server counts, so that no more is sent.
async fn reports(
    pool: &PgPool,
    id: Uuid,
    from: u64,
    last: u64,
    window: Window,
) -> sqlx::Result<(Vec<Event>, Option<u64>)> {
    let query = sqlx::query(include_str!("reports.sql"))
        .bind(id)
        .bind(i64::try_from(from).unwrap_or(i64::MAX))
        .bind(last as i64)
        .bind(i64::try_from(window.events).unwrap_or(i64::MAX))
        .bind(i64::try_from(window.bytes).unwrap_or(i64::MAX));
    let mut fitting = Vec::new();
    for row in query.fetch_all(pool).await? {
        let offset = rows::number(&row, 0)?;
        if !row.try_get::<bool, _>(6)? {
            return Ok((fitting, Some(offset)));
        }
        let report = match row.try_get(2)? {
            Some(message) => Report::Progress { message, fraction: row.try_get(3)? },
            None => Report::Chunk { attempt: rows::small(&row, 4)?, data: Bytes::from(row.try_get::<Vec<u8>, _>(5)?) },
        };
        fitting.push(Event { offset, at: row.try_get(1)?, what: What::Report(report) });
    }
    Ok((fitting, None))
}

/// The first invocation of a key, and whether its payload had this digest.
pub(super) async fn by_key(
    pool: &PgPool,
    tenant: Arc<str>,
    agent: Arc<str>,
    key: String,
    digest: [u8; 32],
    since: Micros,
) -> sqlx::Result<Option<(Uuid, bool)>> {
    let found = sqlx::query(include_str!("by_key.sql"))
        .bind(&*tenant)
        .bind(&*agent)
        .bind(key)
        .bind(since)
        .fetch_optional(pool)
        .await?;
    found.map(|row| Ok((row.try_get(0)?, row.try_get::<&[u8], _>(1)? == digest))).transpose()
}

/// How far these are.
pub(super) async fn progress(pool: &PgPool, ids: Vec<Uuid>) -> sqlx::Result<Vec<Progress>> {
    let found = sqlx::query(include_str!("progress.sql")).bind(ids).fetch_all(pool).await?;
    let read =
        |row: &PgRow| Ok(Progress { id: row.try_get(0)?, events: rows::number(row, 1)?, ended: row.try_get(2)? });
    found.iter().map(read).collect()
}

/// Fences that state must still be told of, taken for a while so that processes do not tell the same.
pub(super) async fn raises(pool: &PgPool, own: WriterId, after: i64, limit: usize) -> sqlx::Result<Vec<Raise>> {
    let query = sqlx::query(include_str!("take_raises.sql")).bind(own).bind(after).bind(limit as i64);
    let found = query.fetch_all(pool).await?;
    found
        .iter()
        .map(|row| {
            let scope = match row.try_get(2)? {
                Some(session) => RaiseScope::Session(session),
                None => RaiseScope::Invocation(row.try_get(3)?),
            };
            Ok(Raise { raise: row.try_get(0)?, tenant: row.try_get(1)?, scope, fence: rows::number(row, 4)? })
        })
        .collect()
}
