//! What redrives read and write.

use rusqlite::{Transaction, params};
use uuid::Uuid;

use super::super::apply::{At, Revived, Row};
use super::super::{Redrive, Redrives};
use super::accept::next_place;
use super::hot::Hot;
use super::rows;
use crate::domain::record::{Ended, Live, PastEnd};

/// The ends after which an invocation was redriven, oldest first.
pub(super) fn past_ends(tx: &Transaction<'_>, seq: i64) -> rusqlite::Result<Vec<PastEnd>> {
    // As `ended` reads it; a past end has no result.
    tx.prepare_cached(
        "SELECT state, at, attempt, lost, event, started_at, input_tokens, output_tokens, reason, message, retryable, NULL,
                lease, fence, worker, stream, leased_at, lease_event, redriven_at, redrive
         FROM past_ends WHERE seq = ?1 ORDER BY event",
    )?
    .query_map([seq], |row| {
        let at = rows::ENDED_COLUMNS;
        Ok(PastEnd {
            ended: rows::ended(row, 0, None)?,
            redriven_at: row.get(at)?,
            redrive: rows::uuid(row, at + 1)?,
        })
    })?
    .collect()
}

/// What a call has redriven, oldest first.
pub(super) fn redriven_by(tx: &Transaction<'_>, past: &Redrives) -> rusqlite::Result<Vec<Uuid>> {
    tx.prepare_cached(
        "SELECT DISTINCT i.id FROM past_ends p INDEXED BY past_ends_of_redrive CROSS JOIN invocations i ON i.seq = p.seq
         WHERE p.redrive = ?1 AND i.id > ?3 AND (?2 IS NULL OR i.tenant = ?2) ORDER BY i.id LIMIT ?4",
    )?
    .query_map(
        params![
            past.redrive.as_bytes(),
            past.tenant,
            past.beyond.unwrap_or(Uuid::nil()).as_bytes(),
            past.limit as i64
        ],
        |row| rows::uuid(row, 0),
    )?
    .collect()
}

/// Moves an invocation from what has ended to what has not, at the end of its session.
pub(super) fn revive(
    tx: &Transaction<'_>,
    insert: &mut Hot<'_>,
    redrive: &Redrive,
    seq: i64,
    ended: &Ended,
    live: &Live,
) -> rusqlite::Result<Revived> {
    keep_end(tx, seq, redrive)?;
    tx.prepare_cached("DELETE FROM ended WHERE seq = ?1")?.execute([seq])?;
    tx.prepare_cached("UPDATE invocations SET deadline = ?2 WHERE seq = ?1")?
        .execute(params![seq, redrive.deadline])?;
    let sql = format!("SELECT {} FROM invocations WHERE seq = ?1", rows::ACCEPTED);
    let accepted = tx.prepare_cached(&sql)?.query_row([seq], |row| rows::accepted(row, 0))?;
    forget_end(tx, &accepted.tenant, redrive.id, ended)?;
    let place = accepted.session.as_deref().map(|session| next_place(tx, &accepted.tenant, session)).transpose()?;
    let at = At { id: redrive.id, seq, place, deadline: accepted.deadline, keeper: None };
    rows::insert_live(insert, &Row { at, live: live.clone() })?;
    Ok(Revived { accepted: accepted.into(), place, ready: None })
}

fn keep_end(tx: &Transaction<'_>, seq: i64, redrive: &Redrive) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO past_ends (
             seq, event, state, at, attempt, lost, started_at, lease, fence, worker, stream, leased_at, lease_event,
             input_tokens, output_tokens, reason, message, retryable, redriven_at, redrive)
         SELECT seq, event, state, at, attempt, lost, started_at, lease, fence, worker, stream, leased_at, lease_event,
             input_tokens, output_tokens, reason, message, retryable, ?2, ?3
         FROM ended WHERE seq = ?1",
    )?
    .execute(params![seq, redrive.now, redrive.redrive.as_bytes()])?;
    Ok(())
}

fn forget_end(tx: &Transaction<'_>, tenant: &str, id: Uuid, ended: &Ended) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM unsuccessful WHERE tenant = ?1 AND state = ?2 AND id = ?3")?.execute(params![
        tenant,
        ended.outcome.status().number(),
        id.as_bytes()
    ])?;
    Ok(())
}
