//! From the wire to filters, and to redrives, which are asked for by filter too.

use std::collections::HashMap;
use std::sync::Arc;

use holdfast_proto::queue::v1 as pb;
use holdfast_rpc::Error;
use prost_types::Timestamp;
use uuid::Uuid;

use super::check::{at_most, name, optional_time, text};
use super::decode::id;
use crate::domain::invocation::Status;
use crate::queue::{RedriveAsk, Which};
use crate::store::{Filter, Period};

/// Invocations in a page, unless asked for otherwise.
const PAGE: u32 = 50;
/// Invocations looked at by a redrive, unless asked for otherwise.
const REDRIVES: u32 = 100;
/// Invocations in a page, or in a redrive, at most.
const PAGE_MAX: u32 = 1_000;
/// Labels in a filter.
const LABELS_MAX: usize = 32;
/// A label's value.
const LABEL_BYTES_MAX: usize = 1_024;

/// What may be redriven.
const UNSUCCESSFUL: [Status; 3] = [Status::Failed, Status::Cancelled, Status::Dead];

pub(super) fn list(tenant: Option<&str>, request: pb::ListInvocationsRequest) -> Result<Filter, Error> {
    Ok(Filter {
        tenant: tenant.map(str::to_owned),
        agent: given(request.agent),
        session: given(request.session),
        statuses: statuses("states", &request.states)?,
        labels: labels("labels", request.labels)?,
        created: period(["created_after", "created_before"], request.created_after, request.created_before)?,
        ended: period(["ended_after", "ended_before"], request.ended_after, request.ended_before)?,
        oldest_first: false,
        beyond: token(&request.page_token)?,
        limit: limit(request.page_size, PAGE),
    })
}

pub(super) fn redrive(tenant: Option<Arc<str>>, request: pb::RedriveInvocationsRequest) -> Result<RedriveAsk, Error> {
    let (redrive, repeats) = match request.redrive_id.as_str() {
        "" => (Uuid::now_v7(), false),
        given => (id("redrive_id", given)?, true),
    };
    let (which, statuses) = match request.filter {
        Some(_) if !request.invocation_ids.is_empty() => {
            return Err(Error::invalid("invocation_ids", "must be empty where a filter is given"));
        }
        Some(filter) => {
            let filter = like(tenant.as_deref(), filter, &request.page_token, request.limit)?;
            let statuses = filter.statuses.clone();
            (Which::Like(filter), statuses)
        }
        None => (named(&request.invocation_ids)?, UNSUCCESSFUL.to_vec()),
    };
    let deadline = optional_time("deadline", request.deadline)?;
    Ok(RedriveAsk { tenant, redrive, repeats, which, statuses, dry_run: request.dry_run, deadline })
}

fn named(ids: &[String]) -> Result<Which, Error> {
    if ids.is_empty() {
        return Err(Error::invalid("invocation_ids", "must name some, or a filter must be given"));
    }
    at_most("invocation_ids", ids.len(), PAGE_MAX as usize)?;
    Ok(Which::Named(ids.iter().map(|text| id("invocation_ids", text)).collect::<Result<_, _>>()?))
}

fn like(
    tenant: Option<&str>,
    filter: pb::redrive_invocations_request::Filter,
    page_token: &str,
    max: u32,
) -> Result<Filter, Error> {
    let mut states = statuses("filter.states", &filter.states)?;
    if states.is_empty() {
        states.push(Status::Dead);
    }
    if states.iter().any(|status| !UNSUCCESSFUL.contains(status)) {
        return Err(Error::invalid("filter.states", "must be of FAILED, CANCELLED and DEAD"));
    }
    let created = ["filter.created_after", "filter.created_before"];
    let ended = ["filter.ended_after", "filter.ended_before"];
    Ok(Filter {
        tenant: tenant.map(str::to_owned),
        agent: given(filter.agent),
        session: given(filter.session),
        statuses: states,
        labels: labels("filter.labels", filter.labels)?,
        created: period(created, filter.created_after, filter.created_before)?,
        ended: period(ended, filter.ended_after, filter.ended_before)?,
        oldest_first: true,
        beyond: token(page_token)?,
        limit: limit(max, REDRIVES),
    })
}

fn given(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

fn statuses(field: &'static str, states: &[i32]) -> Result<Vec<Status>, Error> {
    let status = |state: &i32| Status::from_number(i64::from(*state));
    let unknown = || Error::invalid(field, "has an unknown state");
    states.iter().map(|state| status(state).ok_or_else(unknown)).collect()
}

fn labels(field: &'static str, labels: HashMap<String, String>) -> Result<Vec<(String, String)>, Error> {
    at_most(field, labels.len(), LABELS_MAX)?;
    let mut labels: Vec<(String, String)> = labels
        .into_iter()
        .map(|(key, value)| Ok((name(field, &key)?.to_owned(), text(field, value, LABEL_BYTES_MAX)?)))
        .collect::<Result<_, Error>>()?;
    labels.sort_unstable();
    Ok(labels)
}

fn period(fields: [&'static str; 2], from: Option<Timestamp>, until: Option<Timestamp>) -> Result<Period, Error> {
    let [after, before] = fields;
    Ok(Period { from: optional_time(after, from)?, until: optional_time(before, until)? })
}

fn token(text: &str) -> Result<Option<Uuid>, Error> {
    if text.is_empty() { Ok(None) } else { id("page_token", text).map(Some) }
}

fn limit(asked: u32, default: u32) -> usize {
    if asked == 0 { default as usize } else { asked.min(PAGE_MAX) as usize }
}
