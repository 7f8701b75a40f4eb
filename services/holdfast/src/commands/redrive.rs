//! `redrive`.

use std::time::Duration;

use holdfast_proto::gateway::v1::{RedriveInvocationsRequest, RedriveInvocationsResponse as Redriven};
use holdfast_proto::queue::v1::redrive_invocations_request::Filter;
use holdfast_proto::queue::v1::redrive_invocations_response::Refusal;
use holdfast_sdk::{Client, Error};
use serde_json::{Value, json};

use super::gateway::Gateway;
use crate::cli::{self, Redrive};
use crate::exit::{Exit, Failure};
use crate::output::{self, Output};

/// The most that the gateway looks at in one call.
const PAGE_MAX: usize = 1_000;

/// Redrives what is named or what is like the filter, and prints what became of each.
pub(super) async fn redrive(gateway: &Gateway, arguments: &Redrive, output: Output) -> Result<Exit, Failure> {
    let client = gateway.client().await?;
    let mut done = Redriven::default();
    let ended = pages(&client, arguments, &mut done).await;
    let Redriven { invocation_ids: redriven, refusals, .. } = done;
    // What was redriven before a page was refused runs: nothing else says which it is.
    if ended.is_ok() || !redriven.is_empty() || !refusals.is_empty() {
        output.print(
            || document(&redriven, &refusals, arguments.dry_run),
            || report(&redriven, &refusals, arguments.dry_run),
        );
    }
    ended?;
    Ok(if refusals.is_empty() { Exit::Done } else { Exit::Refused })
}

/// Goes through all pages, each a call of its own, and keeps what became of each.
async fn pages(client: &Client, arguments: &Redrive, done: &mut Redriven) -> Result<(), Error> {
    let mut request = RedriveInvocationsRequest {
        dry_run: arguments.dry_run,
        deadline: arguments.deadline.map(Into::into),
        ..Default::default()
    };
    for ids in arguments.ids.chunks(PAGE_MAX) {
        request.invocation_ids = ids.to_vec();
        take(done, client.redrive(request.clone()).await?);
    }
    if !arguments.ids.is_empty() {
        return Ok(());
    }
    request.filter = Some(filter(&arguments.filter));
    let mut left = arguments.limit;
    while left > 0 {
        request.limit = left.min(PAGE_MAX) as u32;
        let page = client.redrive(request.clone()).await?;
        left = left.saturating_sub(page.invocation_ids.len() + page.refusals.len());
        request.page_token = take(done, page);
        if request.page_token.is_empty() {
            break;
        }
    }
    Ok(())
}

/// Keeps what became of a page, and says where the next begins.
fn take(done: &mut Redriven, page: Redriven) -> String {
    done.invocation_ids.extend(page.invocation_ids);
    done.refusals.extend(page.refusals);
    page.next_page_token
}

fn filter(arguments: &cli::Filter) -> Filter {
    Filter {
        agent: arguments.agent.clone().unwrap_or_default(),
        session: arguments.session.clone().unwrap_or_default(),
        states: arguments.state.iter().map(|state| *state as i32).collect(),
        labels: arguments.label.iter().cloned().collect(),
        ended_after: arguments.since.map(Into::into),
        ended_before: arguments.until.map(Into::into),
        ..Default::default()
    }
}

fn document(redriven: &[String], refusals: &[Refusal], dry_run: bool) -> Value {
    let refusals: Vec<Value> = refusals
        .iter()
        .map(|refusal| {
            json!({
                "invocation_id": refusal.invocation_id,
                "reason": refusal.reason,
                "message": refusal.message,
                "retry_after_ms": refusal.retry_after.as_ref().map(output::millis),
            })
        })
        .collect();
    json!({"redriven": redriven, "refusals": refusals, "dry_run": dry_run})
}

fn report(redriven: &[String], refusals: &[Refusal], dry_run: bool) -> String {
    let word = if dry_run { "would be redriven" } else { "redriven" };
    let done = redriven.iter().map(|id| format!("{id}  {word}"));
    let not = refusals.iter().map(not_done);
    let sum = match refusals.len() {
        0 => format!("{} {word}", redriven.len()),
        not => format!("{} {word}, {not} not", redriven.len()),
    };
    done.chain(not).chain([sum]).collect::<Vec<_>>().join("\n")
}

/// What was not redriven, why, and when to come back where that would help.
fn not_done(refusal: &Refusal) -> String {
    let Refusal { invocation_id, reason, message, retry_after } = refusal;
    let again = retry_after
        .as_ref()
        .map(|span| format!("; try again in {:?}", Duration::from_millis(output::millis(span).unsigned_abs())));
    format!("{invocation_id}  not: {reason}: {message}{}", again.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_each_and_counts_them() {
        let refusal = Refusal {
            invocation_id: "b".into(),
            reason: "NOT_ENDED".into(),
            message: "it runs".into(),
            retry_after: None,
        };
        assert_eq!(
            report(&["a".into()], &[refusal], false),
            "a  redriven\nb  not: NOT_ENDED: it runs\n1 redriven, 1 not"
        );
        assert_eq!(report(&[], &[], true), "0 would be redriven");
    }

    #[test]
    fn where_there_is_no_room_it_says_when_to_come_back() {
        let refusal = Refusal {
            invocation_id: "b".into(),
            reason: "QUEUE_FULL".into(),
            message: "the queue is full".into(),
            retry_after: Some(prost_types::Duration { seconds: 1, nanos: 500_000_000 }),
        };
        assert_eq!(not_done(&refusal), "b  not: QUEUE_FULL: the queue is full; try again in 1.5s");
    }
}
