//! What workers tell while they work.

use rusqlite::{Transaction, params};

use super::super::apply::At;
use super::super::{Keep, Tell};
use crate::domain::event::Report;
use crate::domain::record::Live;

/// Old reports are cleared away when this many have come since, or a large one.
const CLEARING_STEP: u64 = 32;

pub(super) fn store(tx: &Transaction<'_>, at: &At, live: &Live, tell: &Tell) -> rusqlite::Result<()> {
    insert(tx, at.seq, live.events, tell)?;
    if live.events.is_multiple_of(CLEARING_STEP) || tell.report.size() > tell.keep.bytes / CLEARING_STEP as usize {
        clear(tx, at.seq, tell.keep)?;
    }
    Ok(())
}

fn insert(tx: &Transaction<'_>, seq: i64, event: u64, tell: &Tell) -> rusqlite::Result<()> {
    let (message, fraction, attempt, chunk) = match &tell.report {
        Report::Progress { message, fraction } => (Some(message), *fraction, None, None),
        Report::Chunk { attempt, data } => (None, None, Some(*attempt), Some(&data[..])),
    };
    tx.prepare_cached(
        "INSERT INTO reports (seq, event, at, bytes, message, fraction, attempt, chunk)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        seq,
        event as i64,
        tell.now,
        tell.report.size() as i64,
        message,
        fraction,
        attempt,
        chunk
    ])?;
    Ok(())
}

fn clear(tx: &Transaction<'_>, seq: i64, keep: Keep) -> rusqlite::Result<()> {
    tx.prepare_cached(include_str!("clear_reports.sql"))?.execute(params![
        seq,
        keep.items as i64,
        keep.bytes as i64
    ])?;
    Ok(())
}
