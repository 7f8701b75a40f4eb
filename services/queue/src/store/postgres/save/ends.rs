//! What is appended: what was asked, how it ended, what was tried.

use holdfast_storage::{Class, Failure};
use uuid::Uuid;

use super::super::super::text;
use super::super::rows;
use super::super::set::{News, Over, Set};
use super::live::column;
use super::statement::{Statement, plain};
use crate::domain::record::{Ended, Outcome};

/// Stores what was asked.
pub(super) fn invocations(statement: &mut Statement, news: &News) -> Result<(), Failure> {
    let new = &news.invocations;
    if new.is_empty() {
        return Ok(());
    }
    let unwritable = |error: serde_json::Error| Failure::new(Class::Statement, error.to_string());
    let (mut retries, mut labels) = (Vec::with_capacity(new.len()), Vec::with_capacity(new.len()));
    let (mut labelled, mut names, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for one in new {
        let accepted = &*one.accepted;
        retries.push(text::from_retry(&accepted.retry).map_err(unwritable)?);
        let any = !accepted.labels.is_empty();
        labels.push(any.then(|| serde_json::to_string(&accepted.labels)).transpose().map_err(unwritable)?);
        for (name, value) in &accepted.labels {
            labelled.push((accepted.id, &*accepted.tenant));
            names.push(&**name);
            values.push(&**value);
        }
    }
    statement
        .part(include_str!("../insert_invocations.sql"))
        .bind(column(new, |one| one.accepted.id))
        .bind(column(new, |one| one.accepted.at))
        .bind(column(new, |one| one.accepted.not_before))
        .bind(column(new, |one| one.accepted.deadline))
        .bind(column(new, |one| one.payload.data.len() as i64))
        .bind(column(new, |one| one.accepted.priority))
        .bind(column(new, |one| one.accepted.parent))
        .bind(column(new, |one| &*one.accepted.tenant))
        .bind(column(new, |one| &*one.accepted.agent))
        .bind(column(new, |one| one.accepted.session.as_deref()))
        .bind(column(new, |one| one.accepted.idempotency_key.as_deref()))
        .bind(retries)
        .bind(labels)
        .bind(column(new, |one| plain(&one.accepted.traceparent)))
        .bind(column(new, |one| plain(&one.payload.content_type)))
        .bind(column(new, |one| &one.payload.data[..]));
    if !labelled.is_empty() {
        statement
            .part("INSERT INTO labels (tenant, name, value, id) SELECT * FROM unnest(?::text[], ?::text[], ?::text[], ?::uuid[])")
            .bind(column(&labelled, |(_, tenant)| *tenant))
            .bind(names)
            .bind(values)
            .bind(column(&labelled, |(id, _)| *id));
    }
    Ok(())
}

/// Stores the ends.
pub(super) fn ended(statement: &mut Statement, set: &Set) {
    let over: Vec<(Uuid, &Over)> = set.news.ended.iter().filter_map(|id| Some((*id, set.over.get(id)?))).collect();
    if over.is_empty() {
        return;
    }
    let ends: Vec<&Ended> = over.iter().map(|(_, over)| &over.ended).collect();
    let result = |ended: &&Ended| match &ended.outcome {
        Outcome::Succeeded(result) => Some(result.data.to_vec()),
        _ => None,
    };
    let content_type = |ended: &&Ended| match &ended.outcome {
        Outcome::Succeeded(result) => Some(plain(&result.content_type).into_owned()),
        _ => None,
    };
    let mut part = statement.part(include_str!("../insert_ended.sql"));
    part.bind(column(&over, |(id, _)| *id))
        .bind(column(&ends, |ended| ended.at))
        .bind(column(&ends, |ended| ended.started_at))
        .bind(column(&ends, |ended| ended.event as i64))
        .bind(column(&ends, |ended| ended.lease.as_ref().map(|lease| lease.fence as i64)))
        .bind(column(&ends, |ended| ended.lease.as_ref().map(|lease| lease.at)))
        .bind(column(&ends, |ended| ended.lease.as_ref().map(|lease| lease.event as i64)))
        .bind(column(&ends, |ended| ended.usage.input_tokens as i64))
        .bind(column(&ends, |ended| ended.usage.output_tokens as i64))
        .bind(column(&ends, |ended| ended.outcome.status().number() as i32))
        .bind(column(&ends, |ended| ended.attempt as i32))
        .bind(column(&ends, |ended| ended.lost as i32))
        .bind(column(&ends, |ended| ended.outcome.failure().map(|failure| failure.retryable)))
        .bind(column(&ends, |ended| ended.lease.as_ref().map(|lease| lease.id)))
        .bind(column(&ends, |ended| ended.lease.as_ref().and_then(|lease| lease.stream)))
        .bind(column(&ends, |ended| ended.lease.as_ref().map(|lease| plain(&lease.worker))))
        .bind(column(&ends, |ended| ended.outcome.failure().map(|failure| plain(&failure.reason))))
        .bind(column(&ends, |ended| ended.outcome.failure().map(|failure| plain(&failure.message))))
        .bind(column(&ends, content_type))
        .bind(column(&over, |(_, over)| &*over.tenant))
        .bind(column(&ends, result));
}

/// Stores what was used until ends that were stored before. (One that is redriven in this batch is not over any more.)
pub(super) fn used(statement: &mut Statement, set: &Set) {
    let used: Vec<(Uuid, &Over)> = set.news.used.iter().filter_map(|id| Some((*id, set.over.get(id)?))).collect();
    if used.is_empty() {
        return;
    }
    statement
        .part(include_str!("../update_usage.sql"))
        .bind(column(&used, |(id, _)| *id))
        .bind(column(&used, |(_, over)| over.ended.usage.input_tokens as i64))
        .bind(column(&used, |(_, over)| over.ended.usage.output_tokens as i64));
}

/// Stores leases that ended without a result.
pub(super) fn tries(statement: &mut Statement, news: &News) {
    let tries = &news.tries;
    if tries.is_empty() {
        return;
    }
    statement
        .part(include_str!("../insert_tries.sql"))
        .bind(column(tries, |(id, _)| *id))
        .bind(column(tries, |(_, tried)| tried.event as i64))
        .bind(column(tries, |(_, tried)| tried.lease.fence as i64))
        .bind(column(tries, |(_, tried)| tried.lease.at))
        .bind(column(tries, |(_, tried)| tried.lease.event as i64))
        .bind(column(tries, |(_, tried)| tried.ended_at))
        .bind(column(tries, |(_, tried)| tried.next_at))
        .bind(column(tries, |(_, tried)| tried.attempt as i32))
        .bind(column(tries, |(_, tried)| rows::kind(&tried.kind)))
        .bind(column(tries, |(_, tried)| tried.became.number() as i32))
        .bind(column(tries, |(_, tried)| tried.kind.failure().map(|failure| failure.retryable)))
        .bind(column(tries, |(_, tried)| tried.lease.id))
        .bind(column(tries, |(_, tried)| tried.lease.stream))
        .bind(column(tries, |(_, tried)| plain(&tried.lease.worker)))
        .bind(column(tries, |(_, tried)| tried.kind.failure().map(|failure| plain(&failure.reason))))
        .bind(column(tries, |(_, tried)| tried.kind.failure().map(|failure| plain(&failure.message))));
}

/// Moves ends that are over to where past ones are kept, and gives their invocations new deadlines.
pub(super) fn past(statement: &mut Statement, news: &News) {
    let past = &news.past;
    if past.is_empty() {
        return;
    }
    statement
        .named("moved", include_str!("../delete_redriven.sql"))
        .bind(column(past, |past| past.id))
        .bind(column(past, |past| past.end.redriven_at))
        .bind(column(past, |past| past.end.redrive));
    drop(statement.part(include_str!("../insert_past_ends.sql")));
    statement
        .part(include_str!("../update_deadlines.sql"))
        .bind(column(past, |past| past.id))
        .bind(column(past, |past| past.deadline));
}
