//! `submit`, `get`, `watch`, `list` and `cancel`.

use std::time::{Duration, Instant, SystemTime};

use holdfast_proto::gateway::v1::ListInvocationsRequest;
use holdfast_proto::queue::v1::invocation_event::Event;
use holdfast_proto::queue::v1::{Invocation, InvocationEvent, InvocationSpec, InvocationState, Payload, RetryPolicy};
use holdfast_sdk::Error;
use serde_json::json;

use super::gateway::{ANSWER_WITHIN, Gateway};
use super::input;
use crate::cli::{Cancel, List, Submit, Watch};
use crate::exit::{Exit, Failure};
use crate::output::{self, Output, event_json, invocation_json};

/// How long a wait without a deadline lasts.
const WAIT_MAX: Duration = Duration::from_secs(30 * 24 * 3_600);
/// How long after its deadline an invocation's end is still waited for.
const AFTER_DEADLINE: Duration = Duration::from_secs(10);
/// The most that the gateway gives in one page.
const PAGE_MAX: usize = 1_000;

/// Submits; with `--wait`, waits for the end and prints the answer.
pub(super) async fn submit(gateway: &Gateway, arguments: &Submit, output: Output) -> Result<Exit, Failure> {
    let spec = specification(arguments)?;
    let begun = Instant::now();
    let client = gateway.client().await?;
    let within = answer_within(arguments.deadline, begun.elapsed());
    let accepted = client.clone().timeout(within).submit(spec.clone()).await?;
    if !arguments.wait {
        output.print(
            || json!({"invocation_id": accepted.invocation_id, "created": accepted.created}),
            || accepted.invocation_id.clone(),
        );
        return Ok(Exit::Done);
    }
    if !output.is_json() {
        eprintln!("{}  accepted", accepted.invocation_id);
    }
    // The same key and input is the same invocation: this only waits.
    let wait = arguments.deadline.map_or(WAIT_MAX, |span| span.saturating_add(AFTER_DEADLINE));
    let ended = client.timeout(wait).run(spec).await.map_err(|error| naming(error, &accepted.invocation_id))?;
    output.print(|| invocation_json(&ended), || output::answer(&ended));
    Ok(exit_of(ended.state()))
}

/// A wait that ended early names what goes on, also where the mesh had no time to say it.
fn naming(mut error: Error, id: &str) -> Error {
    if let Error::Deadline { invocation_id, .. } | Error::Unavailable { invocation_id, .. } = &mut error {
        invocation_id.get_or_insert_with(|| id.to_owned());
    }
    error
}

/// How long a submission is tried for, once so much time is spent. What is not accepted by its deadline need not be:
/// nobody would start it.
fn answer_within(deadline: Option<Duration>, spent: Duration) -> Duration {
    deadline.map_or(ANSWER_WITHIN, |span| span.saturating_sub(spent).min(ANSWER_WITHIN))
}

/// What the command line asks for, checked as far as that can be done here.
fn specification(arguments: &Submit) -> Result<InvocationSpec, Failure> {
    let text = input::json(&arguments.input)?;
    let too_far = || Failure::Usage("--deadline is too far away".into());
    let moment = |span| SystemTime::now().checked_add(span).ok_or_else(too_far);
    let deadline = arguments.deadline.map(moment).transpose()?;
    let minted = || holdfast_rpc::id::new();
    Ok(InvocationSpec {
        agent: arguments.agent.clone(),
        payload: Some(Payload { data: text.into(), content_type: "application/json".into() }),
        session: arguments.session.clone().unwrap_or_default(),
        idempotency_key: arguments.idempotency_key.clone().unwrap_or_else(minted),
        deadline: deadline.map(Into::into),
        priority: arguments.priority,
        not_before: arguments.not_before.map(Into::into),
        retry_policy: retry_policy(arguments)?,
        labels: arguments.label.iter().cloned().collect(),
        ..Default::default()
    })
}

/// The retry policy, where the command line says something of it.
fn retry_policy(arguments: &Submit) -> Result<Option<RetryPolicy>, Failure> {
    let span = |name: &str, span: Option<Duration>| {
        let span = span.map(|span| span.try_into().map_err(|_| Failure::Usage(format!("{name} is too long"))));
        span.transpose()
    };
    let policy = RetryPolicy {
        max_attempts: arguments.attempts.unwrap_or_default(),
        initial_backoff: span("--backoff", arguments.backoff)?,
        max_backoff: span("--backoff-max", arguments.backoff_max)?,
        backoff_multiplier: arguments.backoff_multiplier.unwrap_or_default(),
        non_retryable_reasons: arguments.final_reason.clone(),
    };
    Ok(Some(policy).filter(|policy| *policy != RetryPolicy::default()))
}

/// Prints an invocation.
pub(super) async fn get(gateway: &Gateway, id: &str, output: Output) -> Result<Exit, Failure> {
    let invocation = gateway.client().await?.get(id).await?;
    output.print(|| invocation_json(&invocation), || output::invocation(&invocation));
    Ok(Exit::Done)
}

/// Prints events as they come, to the end, or until nobody reads any more.
pub(super) async fn watch(gateway: &Gateway, arguments: &Watch, output: Output) -> Result<Exit, Failure> {
    let client = gateway.client().await?;
    let mut events = client.watch(&arguments.id, arguments.from);
    let mut exit = Exit::Done;
    while let Some(event) = events.next().await? {
        let read = output.print(|| event_json(&event), || output::event(&event));
        exit = exit_after(&event);
        if !read {
            break;
        }
    }
    Ok(exit)
}

/// Prints invocations, newest first.
pub(super) async fn list(gateway: &Gateway, arguments: &List, output: Output) -> Result<Exit, Failure> {
    let client = gateway.client().await?;
    let filter = &arguments.filter;
    let mut left = arguments.limit;
    let mut page_token = String::new();
    while left > 0 {
        let page = client
            .list(ListInvocationsRequest {
                agent: filter.agent.clone().unwrap_or_default(),
                session: filter.session.clone().unwrap_or_default(),
                states: filter.state.iter().map(|state| *state as i32).collect(),
                page_size: left.min(PAGE_MAX) as u32,
                page_token,
                labels: filter.label.iter().cloned().collect(),
                created_after: filter.since.map(Into::into),
                created_before: filter.until.map(Into::into),
                ..Default::default()
            })
            .await?;
        for invocation in page.invocations.iter().take(left) {
            if !output.print(|| invocation_json(invocation), || output::row(invocation)) {
                return Ok(Exit::Done);
            }
        }
        left = left.saturating_sub(page.invocations.len());
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    Ok(Exit::Done)
}

/// Cancels, and prints what the invocation is now.
pub(super) async fn cancel(gateway: &Gateway, arguments: &Cancel, output: Output) -> Result<Exit, Failure> {
    let cancelled: Invocation = gateway.client().await?.cancel(&arguments.id, &arguments.reason).await?;
    output.print(|| invocation_json(&cancelled), || output::invocation(&cancelled));
    Ok(Exit::Done)
}

fn exit_of(state: InvocationState) -> Exit {
    if state == InvocationState::Succeeded { Exit::Done } else { Exit::Failed }
}

/// How `watch` ends after an event: by the last state that it saw.
fn exit_after(event: &InvocationEvent) -> Exit {
    match &event.event {
        Some(Event::StateChanged(changed)) => match changed.state() {
            InvocationState::Failed | InvocationState::Cancelled | InvocationState::Dead => Exit::Failed,
            _ => Exit::Done,
        },
        _ => Exit::Done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_submission_is_given_up_at_its_deadline() {
        let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
        assert_eq!(answer_within(Some(second), Duration::from_millis(300)), Duration::from_millis(700));
        assert_eq!(answer_within(Some(second), minute), Duration::ZERO);
        assert_eq!((answer_within(Some(minute), second), answer_within(None, second)), (ANSWER_WITHIN, ANSWER_WITHIN));
    }
}
