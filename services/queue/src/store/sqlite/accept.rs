//! Accepting: a row of what was asked, a row of where it stands.

use rusqlite::{OptionalExtension, Transaction, params};
use uuid::Uuid;

use super::super::Accept;
use super::super::apply::{At, Row};
use super::hot::Hot;
use super::rows;
use crate::domain::invocation::Accepted;
use crate::domain::record::Live;
use crate::domain::schedule::Place;
use crate::domain::time::Micros;

/// Takes a key for an invocation; the one that has it already, and whether its payload had this digest.
pub(super) fn take_key(
    tx: &Transaction<'_>,
    accepted: &Accepted,
    key: &str,
    digest: &[u8; 32],
    since: Micros,
) -> rusqlite::Result<Option<(Uuid, bool)>> {
    let first = by_key(tx, &accepted.tenant, &accepted.agent, key, digest, since)?;
    if first.is_none() {
        tx.prepare_cached(
            "INSERT OR REPLACE INTO idempotency_keys (tenant, agent, key, digest, id) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![&*accepted.tenant, &*accepted.agent, key, digest, accepted.id.as_bytes()])?;
    }
    Ok(first)
}

/// Keeps what is asked, at the end of its session. Where it stands is kept apart.
pub(super) fn create(tx: &Transaction<'_>, insert: &mut Hot<'_>, accept: &Accept) -> rusqlite::Result<Row> {
    let accepted = &*accept.accepted;
    let seq = insert_invocation(insert, accept)?;
    let place = accepted.session.as_deref().map(|session| next_place(tx, &accepted.tenant, session)).transpose()?;
    for (name, value) in &accepted.labels {
        tx.prepare_cached("INSERT INTO labels (tenant, name, value, id) VALUES (?1, ?2, ?3, ?4)")?.execute(params![
            &*accepted.tenant,
            name,
            value,
            accepted.id.as_bytes()
        ])?;
    }
    let at = At { id: accepted.id, seq, place, deadline: accepted.deadline, keeper: None };
    Ok(Row { at, live: Live::accepted(accepted.not_before) })
}

/// The first invocation of a key, and whether its payload had this digest; none when that has ended and was accepted before
/// `since`, or is gone.
pub(super) fn by_key(
    tx: &Transaction<'_>,
    tenant: &str,
    agent: &str,
    key: &str,
    digest: &[u8; 32],
    since: Micros,
) -> rusqlite::Result<Option<(Uuid, bool)>> {
    tx.prepare_cached(
        "SELECT k.id, k.digest FROM idempotency_keys k CROSS JOIN invocations i ON i.id = k.id
         WHERE k.tenant = ?1 AND k.agent = ?2 AND k.key = ?3
         AND (i.accepted_at >= ?4 OR EXISTS (SELECT 1 FROM live WHERE live.id = k.id))",
    )?
    .query_row(params![tenant, agent, key, since], |row| {
        Ok((rows::uuid(row, 0)?, row.get::<_, [u8; 32]>(1)? == *digest))
    })
    .optional()
}

/// Gives its number.
fn insert_invocation(insert: &mut Hot<'_>, accept: &Accept) -> rusqlite::Result<i64> {
    let accepted = &*accept.accepted;
    let labels = (!accepted.labels.is_empty()).then(|| rows::json(&accepted.labels)).transpose()?;
    insert.get()?.insert(params![
        accepted.id.as_bytes(),
        &*accepted.tenant,
        &*accepted.agent,
        accepted.session,
        accepted.idempotency_key,
        accepted.priority,
        accepted.not_before,
        accepted.deadline,
        rows::retry_text(&accepted.retry)?,
        labels,
        accepted.parent.as_ref().map(Uuid::as_bytes),
        accepted.traceparent,
        accepted.at,
        accept.payload.content_type,
        accept.payload.data.len() as i64,
        &accept.payload.data[..],
    ])
}

/// Raises the session's counter in the accepting transaction: neither ids nor clocks decide the order.
pub(super) fn next_place(tx: &Transaction<'_>, tenant: &str, session: &str) -> rusqlite::Result<Place> {
    tx.prepare_cached(
        "INSERT INTO sessions (tenant, name, next_order, fence) VALUES (?1, ?2, 2, 0)
         ON CONFLICT (tenant, name) DO UPDATE SET next_order = next_order + 1
         RETURNING session, next_order - 1",
    )?
    .query_row(params![tenant, session], |row| Ok(Place { session: row.get(0)?, order: row.get(1)? }))
}
