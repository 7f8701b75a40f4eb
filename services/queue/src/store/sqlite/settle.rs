//! Ending leases and invocations.

use rusqlite::{OptionalExtension, Transaction, params};
use uuid::Uuid;

use super::super::{Change, Gone, Settle, Settlement};
use super::claim::live;
use super::rows::{self, LiveRow};
use crate::domain::invocation::Status;
use crate::domain::record::{Ended, Outcome, Try, TryKind};
use crate::domain::retry::{FREE_RELEASES, RetryPolicy};
use crate::domain::transition::{DEADLINE_PASSED, NotHeld, Step};

/// The number of a try that was handed back.
const RELEASED: i64 = 3;

pub(super) fn settle(tx: &Transaction<'_>, settle: &Settle) -> rusqlite::Result<Settlement> {
    if let Change::Cancel { tenant: Some(tenant), .. } = &settle.change
        && !belongs_to(tx, settle.id, tenant)?
    {
        return Ok(Settlement::Refused(Gone::Unknown));
    }
    let Some(LiveRow { seq, live, .. }) = live(tx, settle.id)? else { return after_the_end(tx, settle) };
    let tried_before = live.tries > 0;
    let now = settle.now;
    let step = match &settle.change {
        Change::Complete { lease, result, usage } => live.completed(*lease, result.clone(), *usage, now),
        Change::Fail { lease, failure, usage, jitter } => {
            let retry = retry(tx, seq)?;
            live.failed(*lease, failure.clone(), *usage, (&retry, *jitter), now)
        }
        Change::Release { lease } => {
            let before = if tried_before { releases(tx, seq)? } else { 0 };
            live.released(*lease, before, now)
        }
        Change::Lose { lease, stream, lost_max } => live.lost(*lease, *stream, *lost_max, now),
        Change::Cancel { why, .. } => Ok(live.cancelled(why, now)),
        Change::Expire => Ok(live.expired(now)),
    };
    match step {
        Ok(step) => store(tx, settle.id, seq, step, tried_before),
        Err(NotHeld) => Ok(by_history(&settle.change, &rows::tries(tx, seq)?, None)),
    }
}

/// State has been told.
pub(super) fn forget_raises(tx: &Transaction<'_>, raises: &[i64]) -> rusqlite::Result<()> {
    let mut delete = tx.prepare_cached("DELETE FROM fence_raises WHERE id = ?1")?;
    for raise in raises {
        delete.execute([raise])?;
    }
    Ok(())
}

fn store(tx: &Transaction<'_>, id: Uuid, seq: i64, step: Step, tried_before: bool) -> rusqlite::Result<Settlement> {
    let mut tries = Vec::new();
    match &step {
        Step::Requeued { live, tried } => {
            rows::update_live(tx, id, live)?;
            insert_try(tx, seq, tried)?;
        }
        Step::Ended { ended, tried, raise } => {
            tx.prepare_cached("DELETE FROM live WHERE id = ?1")?.execute([id.as_bytes()])?;
            insert_ended(tx, seq, ended)?;
            if let Some(tried) = tried {
                insert_try(tx, seq, tried)?;
            }
            if let Some(fence) = raise {
                remember_raise(tx, seq, *fence)?;
            }
            if tried_before || tried.is_some() {
                tries = rows::tries(tx, seq)?;
            }
        }
    }
    Ok(Settlement::Now { step, tries, ready: Vec::new() })
}

/// The invocation is over: a repeat gets its first answer, anybody else learns why.
fn after_the_end(tx: &Transaction<'_>, settle: &Settle) -> rusqlite::Result<Settlement> {
    let found = tx
        .prepare_cached(&format!(
            "SELECT {}, invocations.seq FROM invocations JOIN ended USING (seq) WHERE id = ?1",
            rows::ENDED
        ))?
        .query_row([settle.id.as_bytes()], |row| {
            Ok((rows::ended(row, 0, None)?, row.get::<_, i64>(rows::ENDED_COLUMNS)?))
        })
        .optional()?;
    let Some((ended, seq)) = found else { return Ok(Settlement::Refused(Gone::Unknown)) };
    Ok(by_history(&settle.change, &rows::tries(tx, seq)?, Some(&ended)))
}

fn by_history(change: &Change, tries: &[Try], ended: Option<&Ended>) -> Settlement {
    let lease = match change {
        Change::Complete { lease, .. }
        | Change::Fail { lease, .. }
        | Change::Release { lease }
        | Change::Lose { lease, .. } => *lease,
        Change::Cancel { .. } | Change::Expire => return from_outside(change, ended),
    };
    if let Some(tried) = tries.iter().find(|tried| tried.lease.id == lease) {
        let repeats = matches!(
            (change, &tried.kind),
            (Change::Fail { .. }, TryKind::Failed(_)) | (Change::Release { .. }, TryKind::Released)
        );
        return if repeats {
            Settlement::Before { status: tried.became, at: tried.ended_at, next_at: tried.next_at }
        } else {
            Settlement::Refused(Gone::LeaseLost)
        };
    }
    let Some(ended) = ended else { return Settlement::Refused(Gone::LeaseLost) };
    let own = ended.lease.as_ref().is_some_and(|held| held.id == lease);
    match &ended.outcome {
        Outcome::Succeeded(_) if own && matches!(change, Change::Complete { .. }) => {
            Settlement::Before { status: Status::Succeeded, at: ended.at, next_at: None }
        }
        Outcome::Cancelled(_) if own => Settlement::Refused(Gone::Cancelled),
        Outcome::Failed(failure) if own && failure.reason == DEADLINE_PASSED => {
            Settlement::Refused(Gone::DeadlinePassed)
        }
        _ => Settlement::Refused(Gone::LeaseLost),
    }
}

fn from_outside(change: &Change, ended: Option<&Ended>) -> Settlement {
    match ended {
        None => Settlement::Refused(Gone::Unknown),
        Some(ended) if matches!((change, &ended.outcome), (Change::Cancel { .. }, Outcome::Cancelled(_))) => {
            Settlement::Before { status: Status::Cancelled, at: ended.at, next_at: None }
        }
        Some(ended) => Settlement::Refused(Gone::Ended(ended.outcome.status())),
    }
}

fn belongs_to(tx: &Transaction<'_>, id: Uuid, tenant: &str) -> rusqlite::Result<bool> {
    tx.prepare_cached("SELECT 1 FROM invocations WHERE id = ?1 AND tenant = ?2")?.exists(params![id.as_bytes(), tenant])
}

fn retry(tx: &Transaction<'_>, seq: i64) -> rusqlite::Result<RetryPolicy> {
    let text: String =
        tx.prepare_cached("SELECT retry FROM invocations WHERE seq = ?1")?.query_row([seq], |row| row.get(0))?;
    rows::retry(&text)
}

/// Leases handed back one after another until now, as far as it matters.
fn releases(tx: &Transaction<'_>, seq: i64) -> rusqlite::Result<usize> {
    let mut kinds = tx.prepare_cached("SELECT kind FROM tries WHERE seq = ?1 ORDER BY event DESC LIMIT ?2")?;
    let kinds = kinds.query_map(params![seq, FREE_RELEASES as i64], |row| row.get(0))?;
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

fn insert_try(tx: &Transaction<'_>, seq: i64, tried: &Try) -> rusqlite::Result<()> {
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

fn insert_ended(tx: &Transaction<'_>, seq: i64, ended: &Ended) -> rusqlite::Result<()> {
    let lease = ended.lease.as_ref();
    let failure = ended.outcome.failure();
    let result = match &ended.outcome {
        Outcome::Succeeded(result) => Some(result),
        _ => None,
    };
    tx.prepare_cached(include_str!("insert_ended.sql"))?.execute(params![
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
