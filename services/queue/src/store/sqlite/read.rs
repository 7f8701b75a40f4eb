//! Reads. Each is one short transaction, so that what it puts together belongs together.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{OptionalExtension, Row, Transaction, params};
use uuid::Uuid;

use super::super::{History, Raise, RaiseScope, Waiting, Window};
use super::{redrive, rows};
use crate::domain::event::{Event, Report, What, status_events};
use crate::domain::invocation::Payload;
use crate::domain::record::{Record, Standing};

/// Everything of an invocation but its payload and its result; which of `live` and `ended` has a row is seen from
/// their states.
const COLUMNS_FROM: &str = "FROM invocations LEFT JOIN live ON live.id = invocations.id \
     LEFT JOIN ended ON ended.seq = invocations.seq";

pub(super) fn record(
    tx: &Transaction<'_>,
    id: Uuid,
    tenant: Option<&str>,
    (with_payload, with_result): (bool, bool),
) -> rusqlite::Result<Option<Record>> {
    let sql = format!(
        "SELECT {}, {}, {}, invocations.seq, iif(?4, ended.result, NULL), iif(?3, invocations.payload, NULL) {COLUMNS_FROM} \
         WHERE invocations.id = ?1 AND (?2 IS NULL OR invocations.tenant = ?2)",
        rows::ACCEPTED,
        rows::LIVE,
        rows::ENDED
    );
    let found = tx
        .prepare_cached(&sql)?
        .query_row(params![id.as_bytes(), tenant, with_payload, with_result], |row| {
            let result: Option<Vec<u8>> = row.get(TAIL + 1)?;
            let payload: Option<Vec<u8>> = row.get(TAIL + 2)?;
            head(row, result.map(Bytes::from), payload.map(Bytes::from))
        })
        .optional()?;
    let Some((seq, mut record)) = found else { return Ok(None) };
    let (tried, redriven) = match &record.standing {
        Standing::Live(live) => (live.tries > 0, live.redrives > 0),
        Standing::Ended(_) => (true, true),
    };
    if tried {
        record.tries = rows::tries(tx, seq)?;
    }
    if redriven {
        record.past_ends = redrive::past_ends(tx, seq)?;
    }
    Ok(Some(record))
}

const LIVE_AT: usize = rows::ACCEPTED_COLUMNS;
const ENDED_AT: usize = LIVE_AT + rows::LIVE_COLUMNS;
const TAIL: usize = ENDED_AT + rows::ENDED_COLUMNS;

fn head(row: &Row<'_>, result: Option<Bytes>, payload: Option<Bytes>) -> rusqlite::Result<(i64, Record)> {
    let ended = row.get::<_, Option<i64>>(ENDED_AT)?.is_some();
    let standing = if ended {
        Standing::Ended(rows::ended(row, ENDED_AT, result)?)
    } else {
        Standing::Live(rows::live(row, LIVE_AT)?.live)
    };
    let content_type: String = row.get(LIVE_AT - 1)?;
    let record = Record {
        accepted: Arc::new(rows::accepted(row, 0)?),
        payload: payload.map(|data| Payload { data, content_type }),
        standing,
        tries: Vec::new(),
        past_ends: Vec::new(),
    };
    Ok((row.get(TAIL)?, record))
}

pub(super) fn history(
    tx: &Transaction<'_>,
    id: Uuid,
    tenant: Option<&str>,
    from: u64,
    window: Window,
) -> rusqlite::Result<Option<History>> {
    let Some(record) = record(tx, id, tenant, (false, false))? else { return Ok(None) };
    let mut events: Vec<Event> = status_events(&record).into_iter().filter(|event| event.offset >= from).collect();
    let (reports, unread) = reports(tx, id, from, window)?;
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

/// The reports that fit, and the offset of the first that did not.
fn reports(tx: &Transaction<'_>, id: Uuid, from: u64, window: Window) -> rusqlite::Result<(Vec<Event>, Option<u64>)> {
    let mut statement = tx.prepare_cached(
        "SELECT event, at, message, fraction, attempt, chunk FROM reports
         WHERE seq = (SELECT seq FROM invocations WHERE id = ?1) AND event >= ?2 ORDER BY event",
    )?;
    let found = statement.query_map(params![id.as_bytes(), i64::try_from(from).unwrap_or(i64::MAX)], |row| {
        let report = match row.get::<_, Option<String>>(2)? {
            Some(message) => Report::Progress { message, fraction: row.get(3)? },
            None => Report::Chunk { attempt: row.get(4)?, data: Bytes::from(row.get::<_, Vec<u8>>(5)?) },
        };
        Ok(Event { offset: rows::number(row, 0)?, at: row.get(1)?, what: What::Report(report) })
    })?;
    let (mut fitting, mut bytes) = (Vec::new(), 0);
    for event in found {
        let event: Event = event?;
        bytes += event.size();
        if !fitting.is_empty() && (bytes > window.bytes || fitting.len() >= window.events) {
            return Ok((fitting, Some(event.offset)));
        }
        fitting.push(event);
    }
    Ok((fitting, None))
}

pub(super) fn waiting(tx: &Transaction<'_>) -> rusqlite::Result<Vec<Waiting>> {
    let sql = format!(
        "SELECT {}, live.id, tenant, agent, priority, invocations.deadline, \
             iif(live.redrives > 0, \
                 (SELECT max(redriven_at) FROM past_ends WHERE past_ends.seq = live.seq), accepted_at), \
             bytes, invocations.session \
         FROM live JOIN invocations ON invocations.seq = live.seq ORDER BY live.seq",
        rows::LIVE
    );
    tx.prepare_cached(&sql)?
        .query_map([], |row| {
            let at = rows::LIVE_COLUMNS;
            let live = rows::live(row, 0)?;
            Ok(Waiting {
                id: rows::uuid(row, at)?,
                seq: live.seq,
                place: live.place,
                tenant: row.get(at + 1)?,
                agent: row.get(at + 2)?,
                priority: row.get(at + 3)?,
                deadline: row.get(at + 4)?,
                accepted_at: row.get(at + 5)?,
                bytes: rows::number(row, at + 6)? as usize,
                session: row.get(at + 7)?,
                attempt: live.live.attempt,
                phase: live.live.phase,
            })
        })?
        .collect()
}

pub(super) fn raises(tx: &Transaction<'_>, after: i64, limit: usize) -> rusqlite::Result<Vec<Raise>> {
    let sql = "SELECT id, tenant, session, invocation, fence FROM fence_raises WHERE id > ?1 ORDER BY id LIMIT ?2";
    tx.prepare_cached(sql)?
        .query_map([after, limit as i64], |row| {
            let scope = match row.get::<_, Option<String>>(2)? {
                Some(session) => RaiseScope::Session(session),
                None => RaiseScope::Invocation(rows::uuid(row, 3)?),
            };
            Ok(Raise { raise: row.get(0)?, tenant: row.get(1)?, scope, fence: rows::number(row, 4)? })
        })?
        .collect()
}
