//! What ends leave behind.

use std::sync::LazyLock;

use rusqlite::{OptionalExtension, Transaction, params};
use uuid::Uuid;

use super::super::apply::At;
use super::hot::Hot;
use super::rows;
use crate::domain::invocation::Usage;
use crate::domain::record::{Ended, Outcome, Try, TryKind};
use crate::domain::retry::{RELEASES_COUNTED, RetryPolicy};

static ENDED_BY_ID: LazyLock<String> = LazyLock::new(|| {
    format!("SELECT {}, invocations.seq FROM invocations JOIN ended USING (seq) WHERE id = ?1", rows::ENDED)
});

/// The number of a try that was handed back.
const RELEASED: i64 = 3;

/// State has been told.
pub(super) fn forget_raises(tx: &Transaction<'_>, raises: &[i64]) -> rusqlite::Result<()> {
    let mut delete = tx.prepare_cached("DELETE FROM fence_raises WHERE id = ?1")?;
    for raise in raises {
        delete.execute([raise])?;
    }
    Ok(())
}

/// Moves an invocation to what has ended; it does not stand among what has not any more.
pub(super) fn end(
    tx: &Transaction<'_>,
    insert: &mut Hot<'_>,
    at: &At,
    ended: &Ended,
    tried: Option<&Try>,
    raise: Option<u64>,
) -> rusqlite::Result<()> {
    insert_ended(insert, at.seq, ended)?;
    if ended.outcome.failure().is_some() {
        tx.prepare_cached(
            "INSERT INTO unsuccessful (tenant, state, id) SELECT tenant, ?2, id FROM invocations WHERE seq = ?1",
        )?
        .execute(params![at.seq, ended.outcome.status().number()])?;
    }
    if let Some(tried) = tried {
        insert_try(tx, at.seq, tried)?;
    }
    raise.map_or(Ok(()), |fence| remember_raise(tx, at.seq, fence))
}

/// Adds to an end what was used.
pub(super) fn used(tx: &Transaction<'_>, seq: i64, usage: Usage) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE ended SET input_tokens = ?2, output_tokens = ?3 WHERE seq = ?1")?.execute(params![
        seq,
        usage.input_tokens as i64,
        usage.output_tokens as i64
    ])?;
    Ok(())
}

/// How an invocation ended, without its result.
pub(super) fn ended(tx: &Transaction<'_>, id: Uuid) -> rusqlite::Result<Option<(i64, Ended)>> {
    tx.prepare_cached(&ENDED_BY_ID)?
        .query_row([id.as_bytes()], |row| Ok((row.get(rows::ENDED_COLUMNS)?, rows::ended(row, 0, None)?)))
        .optional()
}

pub(super) fn belongs_to(tx: &Transaction<'_>, id: Uuid, tenant: &str) -> rusqlite::Result<bool> {
    tx.prepare_cached("SELECT 1 FROM invocations WHERE id = ?1 AND tenant = ?2")?.exists(params![id.as_bytes(), tenant])
}

pub(super) fn retry(tx: &Transaction<'_>, seq: i64) -> rusqlite::Result<RetryPolicy> {
    let text: String =
        tx.prepare_cached("SELECT retry FROM invocations WHERE seq = ?1")?.query_row([seq], |row| row.get(0))?;
    rows::retry(&text)
}

/// Leases handed back one after another until now, as far as it matters.
pub(super) fn releases(tx: &Transaction<'_>, seq: i64) -> rusqlite::Result<usize> {
    let mut kinds = tx.prepare_cached("SELECT kind FROM tries WHERE seq = ?1 ORDER BY event DESC LIMIT ?2")?;
    let kinds = kinds.query_map(params![seq, RELEASES_COUNTED as i64], |row| row.get(0))?;
    let kinds: Vec<i64> = kinds.collect::<rusqlite::Result<_>>()?;
    Ok(kinds.into_iter().take_while(|kind| *kind == RELEASED).count())
}

fn remember_raise(tx: &Transaction<'_>, seq: i64, fence: u64) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO fence_raises (tenant, session, invocation, fence)
         SELECT tenant, session, CASE WHEN session IS NULL THEN id END, ?2 FROM invocations WHERE seq = ?1",
    )?
    .execute(params![seq, fence as i64])?;
    Ok(())
}

pub(super) fn insert_try(tx: &Transaction<'_>, seq: i64, tried: &Try) -> rusqlite::Result<()> {
    let kind = match tried.kind {
        TryKind::Failed(_) => 1,
        TryKind::Lost(_) => 2,
        TryKind::Released => RELEASED,
    };
    let failure = tried.kind.failure();
    tx.prepare_cached(include_str!("insert_try.sql"))?.execute(params![
        seq,
        tried.event as i64,
        tried.attempt,
        tried.lease.id.as_bytes(),
        tried.lease.fence as i64,
        &*tried.lease.worker,
        tried.lease.stream.as_ref().map(Uuid::as_bytes),
        tried.lease.at,
        tried.lease.event as i64,
        tried.ended_at,
        kind,
        tried.became.number(),
        tried.next_at,
        failure.map(|failure| &failure.reason),
        failure.map(|failure| &failure.message),
        failure.map(|failure| failure.retryable),
    ])?;
    Ok(())
}

fn insert_ended(insert: &mut Hot<'_>, seq: i64, ended: &Ended) -> rusqlite::Result<()> {
    let lease = ended.lease.as_ref();
    let failure = ended.outcome.failure();
    let result = match &ended.outcome {
        Outcome::Succeeded(result) => Some(result),
        _ => None,
    };
    insert.get()?.execute(params![
        seq,
        ended.outcome.status().number(),
        ended.at,
        ended.attempt,
        ended.lost,
        ended.event as i64,
        ended.started_at,
        lease.map(|lease| lease.id.as_bytes()),
        lease.map(|lease| lease.fence as i64),
        lease.map(|lease| &*lease.worker),
        lease.and_then(|lease| lease.stream.as_ref()).map(Uuid::as_bytes),
        lease.map(|lease| lease.at),
        lease.map(|lease| lease.event as i64),
        ended.usage.input_tokens as i64,
        ended.usage.output_tokens as i64,
        failure.map(|failure| &failure.reason),
        failure.map(|failure| &failure.message),
        failure.map(|failure| failure.retryable),
        result.map(|result| &result.content_type),
        result.map(|result| &result.data[..]),
    ])?;
    Ok(())
}
