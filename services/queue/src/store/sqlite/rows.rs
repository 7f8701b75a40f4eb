//! Rows and what they stand for.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdfast_resilience::Backoff;
use rusqlite::types::{FromSql, Type};
use rusqlite::{Error, Row, Transaction, params};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::apply::{self, At};
use super::hot::Hot;
use crate::domain::invocation::{Accepted, Failure, Lease, Payload, Status, Usage};
use crate::domain::record::{Ended, Live, Outcome, Phase, Try, TryKind};
use crate::domain::retry::RetryPolicy;
use crate::domain::schedule::Place;
use crate::domain::time::Micros;

/// A row of `live` with what else its transitions need.
pub(super) struct LiveRow {
    pub(super) seq: i64,
    pub(super) place: Option<Place>,
    pub(super) live: Live,
}

/// The columns of `live` in the order in which [`live`] reads them.
pub(super) const LIVE: &str = "live.seq, live.session, live.session_order, live.state, live.attempt, live.lost, \
     live.events, live.fence, live.loose_fence, live.tries, live.started_at, live.next_at, live.lease, live.fence, \
     live.worker, live.stream, live.leased_at, live.lease_event, live.redrives";
/// How many they are.
pub(super) const LIVE_COLUMNS: usize = 19;

/// The columns of `ended` in the order in which [`ended`] reads them.
pub(super) const ENDED: &str = "ended.state, ended.at, ended.attempt, ended.lost, ended.event, ended.started_at, \
     ended.input_tokens, ended.output_tokens, ended.reason, ended.message, ended.retryable, ended.content_type, \
     ended.lease, ended.fence, ended.worker, ended.stream, ended.leased_at, ended.lease_event";
/// How many they are.
pub(super) const ENDED_COLUMNS: usize = 18;

/// The columns of `invocations`, without the payload, in the order in which [`accepted`] reads them.
pub(super) const ACCEPTED: &str = "invocations.id, invocations.tenant, invocations.agent, invocations.session, \
     invocations.idempotency_key, invocations.priority, invocations.not_before, invocations.deadline, \
     invocations.retry, invocations.labels, invocations.parent, invocations.traceparent, invocations.accepted_at, \
     invocations.bytes, invocations.content_type";
/// How many they are.
pub(super) const ACCEPTED_COLUMNS: usize = 15;

pub(super) fn live(row: &Row<'_>, at: usize) -> rusqlite::Result<LiveRow> {
    let session: Option<i64> = row.get(at + 1)?;
    let phase = match lease(row, at + 12)? {
        Some(lease) => Phase::Leased(lease),
        None => Phase::Queued { next_at: row.get(at + 11)? },
    };
    Ok(LiveRow {
        seq: row.get(at)?,
        place: session.map(|session| Ok::<_, Error>(Place { session, order: row.get(at + 2)? })).transpose()?,
        live: Live {
            phase,
            attempt: row.get(at + 4)?,
            lost: row.get(at + 5)?,
            events: number(row, at + 6)?,
            fence: number(row, at + 7)?,
            loose_fence: row.get::<_, Option<i64>>(at + 8)?.map(|fence| fence as u64),
            tries: row.get(at + 9)?,
            started_at: row.get(at + 10)?,
            redrives: row.get(at + 18)?,
        },
    })
}

/// The same with its deadline behind it.
pub(super) fn row(row: &Row<'_>, id: Uuid) -> rusqlite::Result<apply::Row> {
    let LiveRow { seq, place, live } = live(row, 0)?;
    let at = At { id, seq, place, deadline: row.get(LIVE_COLUMNS)?, keeper: None };
    Ok(apply::Row { at, live })
}

/// Keeps where an invocation stands from now on.
pub(super) fn insert_live(insert: &mut Hot<'_>, row: &apply::Row) -> rusqlite::Result<()> {
    let apply::Row { at, live } = row;
    let (state, next_at, lease) = phase(live);
    insert.get()?.execute(params![
        at.id.as_bytes(),
        at.seq,
        at.place.map(|place| place.session),
        at.place.map(|place| place.order),
        state.number(),
        live.attempt,
        live.lost,
        live.events as i64,
        live.fence as i64,
        live.loose_fence.map(|fence| fence as i64),
        live.tries,
        live.started_at,
        next_at,
        lease.map(|lease| lease.id.as_bytes()),
        lease.map(|lease| &*lease.worker),
        lease.and_then(|lease| lease.stream.as_ref()).map(Uuid::as_bytes),
        lease.map(|lease| lease.at),
        lease.map(|lease| lease.event as i64),
        at.deadline,
        live.redrives,
    ])?;
    Ok(())
}

/// Keeps where it stands now.
pub(super) fn update_live(tx: &Transaction<'_>, id: Uuid, live: &Live) -> rusqlite::Result<()> {
    let (state, next_at, lease) = phase(live);
    tx.prepare_cached(include_str!("update_live.sql"))?.execute(params![
        id.as_bytes(),
        state.number(),
        live.attempt,
        live.lost,
        live.events as i64,
        live.fence as i64,
        live.loose_fence.map(|fence| fence as i64),
        live.tries,
        live.started_at,
        next_at,
        lease.map(|lease| lease.id.as_bytes()),
        lease.map(|lease| &*lease.worker),
        lease.and_then(|lease| lease.stream.as_ref()).map(Uuid::as_bytes),
        lease.map(|lease| lease.at),
        lease.map(|lease| lease.event as i64),
    ])?;
    Ok(())
}

/// Keeps that something was told.
pub(super) fn update_events(tx: &Transaction<'_>, id: Uuid, events: u64) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE live SET events = ?2 WHERE id = ?1")?.execute(params![id.as_bytes(), events as i64])?;
    Ok(())
}

const fn phase(live: &Live) -> (Status, Option<Micros>, Option<&Lease>) {
    match &live.phase {
        Phase::Queued { next_at } => (Status::Queued, *next_at, None),
        Phase::Leased(lease) => (Status::Leased, None, Some(lease)),
    }
}

/// `result` is read apart, for it may be large.
pub(super) fn ended(row: &Row<'_>, at: usize, result: Option<Bytes>) -> rusqlite::Result<Ended> {
    let status = status(row, at)?;
    let failure = failure(row, at + 8)?;
    let outcome = match (status, failure) {
        (Status::Succeeded, None) => {
            Outcome::Succeeded(Payload { data: result.unwrap_or_default(), content_type: row.get(at + 11)? })
        }
        (Status::Failed, Some(failure)) => Outcome::Failed(failure),
        (Status::Cancelled, Some(failure)) => Outcome::Cancelled(failure),
        (Status::Dead, Some(failure)) => Outcome::Dead(failure),
        _ => return Err(Error::IntegralValueOutOfRange(at, status.number())),
    };
    Ok(Ended {
        outcome,
        at: row.get(at + 1)?,
        attempt: row.get(at + 2)?,
        lost: row.get(at + 3)?,
        event: number(row, at + 4)?,
        started_at: row.get(at + 5)?,
        usage: Usage { input_tokens: number(row, at + 6)?, output_tokens: number(row, at + 7)? },
        lease: lease(row, at + 12)?,
    })
}

pub(super) fn accepted(row: &Row<'_>, at: usize) -> rusqlite::Result<Accepted> {
    let labels: Option<String> = row.get(at + 9)?;
    Ok(Accepted {
        id: uuid(row, at)?,
        tenant: text(row, at + 1)?,
        agent: text(row, at + 2)?,
        session: row.get(at + 3)?,
        idempotency_key: row.get(at + 4)?,
        priority: row.get(at + 5)?,
        not_before: row.get(at + 6)?,
        deadline: row.get(at + 7)?,
        retry: retry(&row.get::<_, String>(at + 8)?)?,
        labels: labels.map(|labels| from_json(&labels)).transpose()?.unwrap_or_default(),
        parent: optional_uuid(row, at + 10)?,
        traceparent: row.get(at + 11)?,
        at: row.get(at + 12)?,
        bytes: number(row, at + 13)? as usize,
    })
}

/// The history of an invocation, oldest first.
pub(super) fn tries(tx: &Transaction<'_>, seq: i64) -> rusqlite::Result<Vec<Try>> {
    tx.prepare_cached(
        "SELECT attempt, ended_at, event, kind, became, next_at, reason, message, retryable,
                lease, fence, worker, stream, leased_at, lease_event
         FROM tries WHERE seq = ?1 ORDER BY event",
    )?
    .query_map([seq], |row| {
        let kind = match (row.get::<_, i64>(3)?, failure(row, 6)?) {
            (1, Some(failure)) => TryKind::Failed(failure),
            (2, Some(failure)) => TryKind::Lost(failure),
            (3, None) => TryKind::Released,
            (kind, _) => return Err(Error::IntegralValueOutOfRange(3, kind)),
        };
        Ok(Try {
            attempt: row.get(0)?,
            lease: lease(row, 9)?.ok_or(Error::InvalidColumnType(9, "lease".into(), Type::Null))?,
            ended_at: row.get(1)?,
            event: number(row, 2)?,
            kind,
            became: status(row, 4)?,
            next_at: row.get(5)?,
        })
    })?
    .collect()
}

fn lease(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Lease>> {
    let Some(id) = optional_uuid(row, at)? else { return Ok(None) };
    Ok(Some(Lease {
        id,
        fence: number(row, at + 1)?,
        worker: text(row, at + 2)?,
        stream: optional_uuid(row, at + 3)?,
        at: row.get(at + 4)?,
        event: number(row, at + 5)?,
    }))
}

fn failure(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Failure>> {
    let Some(reason) = row.get(at)? else { return Ok(None) };
    Ok(Some(Failure { reason, message: row.get(at + 1)?, retryable: row.get(at + 2)? }))
}

pub(super) fn status(row: &Row<'_>, at: usize) -> rusqlite::Result<Status> {
    let number = row.get(at)?;
    Status::from_number(number).ok_or(Error::IntegralValueOutOfRange(at, number))
}

pub(super) fn number(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(at)? as u64)
}

pub(super) fn uuid(row: &Row<'_>, at: usize) -> rusqlite::Result<Uuid> {
    Ok(Uuid::from_bytes(row.get(at)?))
}

fn optional_uuid(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Uuid>> {
    Ok(row.get::<_, Option<[u8; 16]>>(at)?.map(Uuid::from_bytes))
}

fn text(row: &Row<'_>, at: usize) -> rusqlite::Result<Arc<str>> {
    Arc::<str>::column_result(row.get_ref(at)?).map_err(Error::from)
}

/// A retry policy as it is kept.
#[derive(Serialize, Deserialize)]
struct RetryText {
    attempts: u32,
    initial_us: u64,
    max_us: u64,
    multiplier: f64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    final_reasons: Vec<String>,
}

pub(super) fn retry_text(policy: &RetryPolicy) -> rusqlite::Result<String> {
    let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    json(&RetryText {
        attempts: policy.attempts_max,
        initial_us: micros(policy.backoff.initial),
        max_us: micros(policy.backoff.max),
        multiplier: policy.backoff.multiplier,
        final_reasons: policy.final_reasons.clone(),
    })
}

pub(super) fn retry(text: &str) -> rusqlite::Result<RetryPolicy> {
    let text: RetryText = from_json(text)?;
    Ok(RetryPolicy {
        attempts_max: text.attempts,
        backoff: Backoff {
            initial: Duration::from_micros(text.initial_us),
            max: Duration::from_micros(text.max_us),
            multiplier: text.multiplier,
        },
        final_reasons: text.final_reasons,
    })
}

pub(super) fn json(value: &impl Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| Error::ToSqlConversionFailure(error.into()))
}

fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text).map_err(|error| Error::FromSqlConversionFailure(0, Type::Text, error.into()))
}
