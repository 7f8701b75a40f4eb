//! Rows and what they stand for.

use std::sync::Arc;

use bytes::Bytes;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::super::apply::At;
use super::super::{KeptLease, ReadyKey, WriterId, text};
use crate::domain::invocation::{Accepted, Failure, Lease, Payload, Status, Usage};
use crate::domain::record::{Ended, Live, Outcome, PastEnd, Phase, Try, TryKind};
use crate::domain::schedule::Place;
use crate::domain::time::Micros;

/// A row of `live`: where an invocation stands that has not ended, and what of it is needed to say so elsewhere.
#[derive(Debug, Clone)]
pub(super) struct LiveRow {
    pub(super) at: At,
    pub(super) facts: Facts,
    pub(super) live: Live,
    /// Where it stands in `ready`.
    pub(super) ready: Option<ReadyKey>,
    /// When it comes up in `delayed`.
    pub(super) delayed: Option<Micros>,
}

/// What never changes.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) tenant: Arc<str>,
    pub(super) agent: Arc<str>,
    pub(super) session: Option<String>,
    pub(super) priority: i32,
    pub(super) accepted_at: Micros,
    pub(super) bytes: usize,
    /// The process at which somebody waits for the end.
    pub(super) awaited_by: Option<WriterId>,
}

/// The columns of `live` in the order in which [`live`] reads them.
pub(super) const LIVE: &str = "id, accepted_at, bytes, deadline, session, session_order, awaited_by, priority, state, \
     attempt, lost, tries, redrives, events, fence, loose_fence, started_at, next_at, ready_writer, ready_rank, keeper, \
     lease, fence, worker, stream, leased_at, lease_event, tenant, agent, session_name";
/// How many they are.
pub(super) const LIVE_COLUMNS: usize = 30;

/// The columns of `ended`, without the result, in the order in which [`ended`] reads them.
pub(super) const ENDED: &str = "ended.state, ended.at, ended.attempt, ended.lost, ended.event, ended.started_at, \
     ended.input_tokens, ended.output_tokens, ended.reason, ended.message, ended.retryable, ended.content_type, \
     ended.lease, ended.fence, ended.worker, ended.stream, ended.leased_at, ended.lease_event";
/// How many they are.
pub(super) const ENDED_COLUMNS: usize = 18;

/// The columns of `invocations`, without the payload, in the order in which [`accepted`] reads them.
pub(super) const ACCEPTED: &str = "invocations.id, invocations.tenant, invocations.agent, invocations.session, \
     invocations.idempotency_key, invocations.priority, invocations.not_before, invocations.deadline, \
     invocations.retry, invocations.labels::text, invocations.parent, invocations.traceparent, \
     invocations.accepted_at, invocations.bytes, invocations.content_type";
/// How many they are.
pub(super) const ACCEPTED_COLUMNS: usize = 15;

/// The columns of `tries` in the order in which [`tried`] reads them.
pub(super) const TRIES: &str = "tries.attempt, tries.ended_at, tries.event, tries.kind, tries.became, tries.next_at, \
     tries.reason, tries.message, tries.retryable, tries.lease, tries.fence, tries.worker, tries.stream, \
     tries.leased_at, tries.lease_event";

pub(super) fn live(row: &PgRow, at: usize) -> sqlx::Result<LiveRow> {
    let session: Option<i64> = row.try_get(at + 4)?;
    let order: Option<i64> = row.try_get(at + 5)?;
    let next_at: Option<Micros> = row.try_get(at + 17)?;
    let ready = match (row.try_get(at + 18)?, row.try_get(at + 19)?) {
        (Some(writer), Some(rank)) => Some(ReadyKey { writer, rank }),
        _ => None,
    };
    let phase = match lease(row, at + 21)? {
        Some(lease) => Phase::Leased(lease),
        None => Phase::Queued { next_at },
    };
    Ok(LiveRow {
        at: At {
            id: row.try_get(at)?,
            seq: row.try_get(at + 1)?,
            place: session.zip(order).map(|(session, order)| Place { session, order }),
            deadline: row.try_get(at + 3)?,
            keeper: row.try_get(at + 20)?,
        },
        facts: Facts {
            accepted_at: row.try_get(at + 1)?,
            bytes: number(row, at + 2)? as usize,
            awaited_by: row.try_get(at + 6)?,
            priority: row.try_get(at + 7)?,
            tenant: row.try_get::<&str, _>(at + 27)?.into(),
            agent: row.try_get::<&str, _>(at + 28)?.into(),
            session: row.try_get(at + 29)?,
        },
        live: Live {
            phase,
            attempt: small(row, at + 9)?,
            lost: small(row, at + 10)?,
            tries: small(row, at + 11)?,
            redrives: small(row, at + 12)?,
            events: number(row, at + 13)?,
            fence: number(row, at + 14)?,
            loose_fence: row.try_get::<Option<i64>, _>(at + 15)?.map(|fence| fence as u64),
            started_at: row.try_get(at + 16)?,
        },
        ready,
        // As long as nothing of its session comes before it.
        delayed: next_at.filter(|_| ready.is_none()),
    })
}

/// A lease and whose it is, from a row that is leased.
pub(super) fn kept(row: &LiveRow) -> Option<KeptLease> {
    Some(KeptLease {
        id: row.at.id,
        tenant: row.facts.tenant.to_string(),
        agent: row.facts.agent.to_string(),
        session: row.facts.session.clone(),
        attempt: row.live.attempt,
        lease: row.live.lease()?.clone(),
    })
}

/// `result` is read apart, for it may be large.
pub(super) fn ended(row: &PgRow, at: usize, result: Option<Vec<u8>>) -> sqlx::Result<Ended> {
    let status = status(row, at)?;
    let outcome = match (status, failure(row, at + 8)?) {
        (Status::Succeeded, None) => Outcome::Succeeded(Payload {
            data: result.map(Bytes::from).unwrap_or_default(),
            content_type: row.try_get(at + 11)?,
        }),
        (Status::Failed, Some(failure)) => Outcome::Failed(failure),
        (Status::Cancelled, Some(failure)) => Outcome::Cancelled(failure),
        (Status::Dead, Some(failure)) => Outcome::Dead(failure),
        _ => return Err(unreadable("an end without its reason")),
    };
    Ok(Ended {
        outcome,
        at: row.try_get(at + 1)?,
        attempt: small(row, at + 2)?,
        lost: small(row, at + 3)?,
        event: number(row, at + 4)?,
        started_at: row.try_get(at + 5)?,
        usage: Usage { input_tokens: number(row, at + 6)?, output_tokens: number(row, at + 7)? },
        lease: lease(row, at + 12)?,
    })
}

pub(super) fn accepted(row: &PgRow, at: usize) -> sqlx::Result<Accepted> {
    let labels: Option<&str> = row.try_get(at + 9)?;
    Ok(Accepted {
        id: row.try_get(at)?,
        tenant: row.try_get::<&str, _>(at + 1)?.into(),
        agent: row.try_get::<&str, _>(at + 2)?.into(),
        session: row.try_get(at + 3)?,
        idempotency_key: row.try_get(at + 4)?,
        priority: row.try_get(at + 5)?,
        not_before: row.try_get(at + 6)?,
        deadline: row.try_get(at + 7)?,
        retry: text::to_retry(row.try_get(at + 8)?).map_err(unreadable)?,
        labels: labels.map(serde_json::from_str).transpose().map_err(unreadable)?.unwrap_or_default(),
        parent: row.try_get(at + 10)?,
        traceparent: row.try_get(at + 11)?,
        at: row.try_get(at + 12)?,
        bytes: number(row, at + 13)? as usize,
    })
}

pub(super) fn tried(row: &PgRow, at: usize) -> sqlx::Result<Try> {
    let kind = match (row.try_get::<i32, _>(at + 3)?, failure(row, at + 6)?) {
        (FAILED, Some(failure)) => TryKind::Failed(failure),
        (LOST, Some(failure)) => TryKind::Lost(failure),
        (RELEASED, None) => TryKind::Released,
        _ => return Err(unreadable("a try without its reason")),
    };
    Ok(Try {
        attempt: small(row, at)?,
        lease: lease(row, at + 9)?.ok_or_else(|| unreadable("a try without its lease"))?,
        ended_at: row.try_get(at + 1)?,
        event: number(row, at + 2)?,
        kind,
        became: status(row, at + 4)?,
        next_at: row.try_get(at + 5)?,
    })
}

const FAILED: i32 = 1;
const LOST: i32 = 2;
const RELEASED: i32 = 3;

/// The number of a kind of try.
pub(super) const fn kind(kind: &TryKind) -> i32 {
    match kind {
        TryKind::Failed(_) => FAILED,
        TryKind::Lost(_) => LOST,
        TryKind::Released => RELEASED,
    }
}

fn lease(row: &PgRow, at: usize) -> sqlx::Result<Option<Lease>> {
    let Some(id) = row.try_get::<Option<Uuid>, _>(at)? else { return Ok(None) };
    Ok(Some(Lease {
        id,
        fence: number(row, at + 1)?,
        worker: row.try_get::<&str, _>(at + 2)?.into(),
        stream: row.try_get(at + 3)?,
        at: row.try_get(at + 4)?,
        event: number(row, at + 5)?,
    }))
}

fn failure(row: &PgRow, at: usize) -> sqlx::Result<Option<Failure>> {
    let Some(reason) = row.try_get(at)? else { return Ok(None) };
    Ok(Some(Failure { reason, message: row.try_get(at + 1)?, retryable: row.try_get(at + 2)? }))
}

fn status(row: &PgRow, at: usize) -> sqlx::Result<Status> {
    let number: i32 = row.try_get(at)?;
    Status::from_number(number.into()).ok_or_else(|| unreadable("an unknown state"))
}

pub(super) fn number(row: &PgRow, at: usize) -> sqlx::Result<u64> {
    Ok(row.try_get::<i64, _>(at)? as u64)
}

pub(super) fn small(row: &PgRow, at: usize) -> sqlx::Result<u32> {
    Ok(row.try_get::<i32, _>(at)? as u32)
}

pub(super) fn unreadable(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> sqlx::Error {
    sqlx::Error::Decode(why.into())
}

/// A row of `past_ends`, whose first column is the invocation.
pub(super) fn past_end(row: &PgRow) -> sqlx::Result<PastEnd> {
    Ok(PastEnd {
        ended: ended(row, 1, None)?,
        redriven_at: row.try_get(1 + ENDED_COLUMNS)?,
        redrive: row.try_get(2 + ENDED_COLUMNS)?,
    })
}
