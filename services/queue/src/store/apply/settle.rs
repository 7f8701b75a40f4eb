//! Ending leases and invocations.

use super::super::{Change, Gone, Settle, Settlement};
use super::{At, Row, Tables};
use crate::domain::invocation::{Status, Usage};
use crate::domain::record::{Ended, Outcome, PastEnd, Try, TryKind};
use crate::domain::time::Micros;
use crate::domain::transition::{DEADLINE_PASSED, NotHeld, Step};

pub(super) fn settle<T: Tables>(tables: &mut T, settle: &Settle) -> Result<Settlement, T::Error> {
    if let Change::Cancel { tenant: Some(tenant), .. } = &settle.change
        && !tables.belongs_to(settle.id, tenant)?
    {
        return Ok(Settlement::Refused(Gone::Unknown));
    }
    let Some(Row { at, live }) = tables.live(settle.id)? else { return after_the_end(tables, settle) };
    let (tried_before, redriven) = (live.tries > 0, live.redrives > 0);
    let now = settle.now;
    let step = match &settle.change {
        Change::Complete { lease, result, usage } => live.completed(*lease, result.clone(), *usage, now),
        Change::Fail { lease, failure, usage, jitter } => {
            let retry = tables.retry(&at)?;
            live.failed(*lease, failure.clone(), *usage, (&retry, *jitter), now)
        }
        Change::Release { lease } => {
            let before = if tried_before { tables.releases(&at)? } else { 0 };
            live.released(*lease, before, now)
        }
        // Another process keeps it now: it alone can tell whether its holder is gone.
        Change::Lose { .. } if at.keeper.is_some_and(|keeper| Some(keeper) != tables.writer()) => Err(NotHeld),
        Change::Lose { lease, stream, lost_max } => live.lost(*lease, *stream, *lost_max, now),
        Change::Cancel { why, .. } => Ok(live.cancelled(why, now)),
        // Found past its deadline, it may have ended and been redriven since, with another one.
        Change::Expire if tables.writer().is_some() && has_time(&at, live.redrives, now) => Err(NotHeld),
        Change::Expire => Ok(live.expired(now)),
    };
    match step {
        Ok(step) => store(tables, &at, step, tried_before, redriven),
        Err(NotHeld) => {
            let tries = if tried_before { tables.tries(at.id, at.seq)? } else { Vec::new() };
            let past = if redriven { tables.past_ends(at.id, at.seq)? } else { Vec::new() };
            Ok(by_history(&settle.change, &tries, &past, None))
        }
    }
}

fn has_time(at: &At, redrives: u32, now: Micros) -> bool {
    at.deadline.map_or(redrives > 0, |deadline| deadline > now)
}

fn store<T: Tables>(
    tables: &mut T,
    at: &At,
    step: Step,
    tried_before: bool,
    redriven: bool,
) -> Result<Settlement, T::Error> {
    let (mut tries, mut past_ends) = (Vec::new(), Vec::new());
    let ready = match &step {
        Step::Requeued { live, tried } => tables.requeue(at, live, tried)?,
        Step::Ended { ended, tried, raise } => {
            let ready = tables.end(at, ended, tried.as_ref(), *raise)?;
            if tried_before || tried.is_some() {
                tries = tables.tries(at.id, at.seq)?;
            }
            if redriven {
                past_ends = tables.past_ends(at.id, at.seq)?;
            }
            ready
        }
    };
    Ok(Settlement::Now { step, tries, past_ends, ready })
}

/// The invocation is over: a repeat gets its first answer, anybody else learns why.
fn after_the_end<T: Tables>(tables: &mut T, settle: &Settle) -> Result<Settlement, T::Error> {
    let Some((seq, ended)) = tables.ended(settle.id)? else { return Ok(Settlement::Refused(Gone::Unknown)) };
    if let Some(usage) = late_usage(&settle.change, &ended) {
        tables.used(settle.id, seq, usage)?;
    }
    let (tries, past) = (tables.tries(settle.id, seq)?, tables.past_ends(settle.id, seq)?);
    Ok(by_history(&settle.change, &tries, &past, Some(&ended)))
}

/// Who ended it from outside did not know what its holder had used; the holder says so when it learns of the end.
fn late_usage(change: &Change, ended: &Ended) -> Option<Usage> {
    let (Change::Complete { lease, usage, .. } | Change::Fail { lease, usage, .. }) = change else { return None };
    let is_holder = ended.lease.as_ref().is_some_and(|held| held.id == *lease);
    let is_news = ended.usage == Usage::default() && *usage != Usage::default();
    (is_holder && is_news).then_some(*usage)
}

fn by_history(change: &Change, tries: &[Try], past: &[PastEnd], ended: Option<&Ended>) -> Settlement {
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
    let own = |ended: &&Ended| ended.lease.as_ref().is_some_and(|held| held.id == lease);
    match past.iter().map(|past| &past.ended).chain(ended).find(own) {
        Some(ended) => under_its_lease(change, ended),
        None => Settlement::Refused(Gone::LeaseLost),
    }
}

fn under_its_lease(change: &Change, ended: &Ended) -> Settlement {
    match &ended.outcome {
        Outcome::Succeeded(_) if matches!(change, Change::Complete { .. }) => {
            Settlement::Before { status: Status::Succeeded, at: ended.at, next_at: None }
        }
        Outcome::Cancelled(_) => Settlement::Refused(Gone::Cancelled),
        Outcome::Failed(failure) if failure.reason == DEADLINE_PASSED => Settlement::Refused(Gone::DeadlinePassed),
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
