//! One invocation: its attempts and its recorded steps, in the order in which they happened.

mod step;

use std::time::Duration;

use holdfast_proto::queue::v1::invocation_event::Event;
use holdfast_proto::queue::v1::{FailedAttempt, Invocation, InvocationEvent, InvocationState, Payload};
use holdfast_rpc::time::{self, Micros};

use super::super::known::Looked;
use super::super::state::State;
use super::super::table::{Cell, Row, Table, Tone, figure, filling, text};
use super::super::write;
use super::invocations;
use crate::output;

/// One thing that happened.
#[derive(Debug)]
struct Entry {
    at: Option<Micros>,
    id: String,
    what: String,
    tone: Tone,
    /// In short, for its row.
    detail: String,
    tokens: Option<u64>,
    /// All of it.
    content: String,
}

pub(super) fn table(state: &State) -> Table {
    let looked = state.known.looked.get();
    let begun = looked.and_then(|looked| looked.invocation.created_at.as_ref()).and_then(time::micros);
    Table {
        title: "What happened",
        note: super::note(&state.known.looked, state, Some("Enter shows all of a row")),
        columns: vec![figure("after", 0), text("what", 0), figure("tokens", 1), filling("", 20, 0)],
        rows: looked.map(entries).unwrap_or_default().into_iter().map(|entry| row(entry, begun)).collect(),
        empty: "nothing yet",
    }
}

fn row(entry: Entry, begun: Option<Micros>) -> Row {
    let after = entry.at.zip(begun).map(|(at, begun)| Duration::from_micros(u64::try_from(at - begun).unwrap_or(0)));
    Row {
        id: entry.id,
        cells: vec![
            Cell::figure(after.map(|after| after.as_secs_f64()), |_| after.map(write::span).unwrap_or_default()),
            Cell::text(entry.what).tone(entry.tone),
            match entry.tokens {
                Some(tokens) => Cell::figure(Some(tokens as f64), write::count),
                None => Cell::text(""),
            },
            Cell::text(entry.detail),
        ],
    }
}

/// All of what a row stands for.
pub(crate) fn content(state: &State, id: &str) -> Option<String> {
    let entry = entries(state.known.looked.get()?).into_iter().find(|entry| entry.id == id)?;
    let at = entry.at.map(|at| output::timestamp(&time::timestamp(at))).unwrap_or_default();
    Some(format!("{}  {at}\n\n{}", entry.what, entry.content))
}

/// The invocation itself, in a few lines.
pub(crate) fn head(state: &State) -> Vec<String> {
    let Some(Looked { invocation, .. }) = state.known.looked.get() else { return Vec::new() };
    let spec = invocation.spec.clone().unwrap_or_default();
    let state_name = output::state_name(invocation.state());
    let session = if spec.session.is_empty() { String::new() } else { format!("  session {}", spec.session) };
    let usage = invocation.usage.unwrap_or_default();
    let tokens = match usage.input_tokens + usage.output_tokens {
        0 => String::new(),
        _ => format!(", tokens {} in {} out", usage.input_tokens, usage.output_tokens),
    };
    let lost =
        if invocation.lost_leases > 0 { format!(", {} leases lost", invocation.lost_leases) } else { String::new() };
    let mut lines = vec![
        format!("{}  {state_name}  {}{session}", invocation.id, spec.agent),
        format!("attempts {}{lost}{tokens}", invocation.attempt),
        format!("input  {}", spec.payload.as_ref().map(one_line).unwrap_or_default()),
    ];
    lines.extend(ending(invocation));
    lines
}

fn ending(invocation: &Invocation) -> Option<String> {
    match (&invocation.failure, &invocation.result) {
        (Some(failure), _) => Some(format!("why    {}: {}", failure.reason, failure.message)),
        (None, Some(result)) if invocation.state() == InvocationState::Succeeded => {
            Some(format!("result {}", one_line(result)))
        }
        _ => None,
    }
}

fn one_line(payload: &Payload) -> String {
    String::from_utf8_lossy(&payload.data).into_owned()
}

/// Everything, oldest first. What has no time stands where its kind does.
fn entries(looked: &Looked) -> Vec<Entry> {
    let mut entries: Vec<_> = looked.events.iter().filter_map(event).collect();
    entries.extend(looked.invocation.failed_attempts.iter().enumerate().map(failed));
    entries.extend(looked.steps.iter().map(step::entry));
    entries.sort_by_key(|entry| entry.at);
    entries
}

fn event(event: &InvocationEvent) -> Option<Entry> {
    let at = event.time.as_ref().and_then(time::micros);
    let (what, tone, detail) = match event.event.as_ref()? {
        Event::StateChanged(changed) => {
            let attempt = if changed.attempt > 0 { format!("attempt {}", changed.attempt) } else { String::new() };
            let failure = changed.failure.as_ref();
            let why = failure.map(|why| format!("  {}: {}", why.reason, why.message)).unwrap_or_default();
            let state = changed.state();
            (
                output::state_name(state).to_owned(),
                invocations::tone(state),
                format!("{attempt}{why}").trim().to_owned(),
            )
        }
        Event::Progress(progress) => ("progress".to_owned(), Tone::Faint, progress.message.clone()),
        Event::Dropped(dropped) => {
            ("gone".to_owned(), Tone::Faint, format!("{} events are not kept any more", dropped.count))
        }
        // The answer's text is in the steps.
        Event::Chunk(_) => return None,
    };
    let id = format!("event {}", event.offset);
    Some(Entry { at, id, what, tone, content: detail.clone(), detail, tokens: None })
}

fn failed((number, attempt): (usize, &FailedAttempt)) -> Entry {
    let why = attempt.failure.clone().unwrap_or_default();
    let detail = format!("attempt {} on {}: {}: {}", attempt.attempt, attempt.worker, why.reason, why.message);
    Entry {
        at: attempt.ended_at.as_ref().and_then(time::micros),
        id: format!("failed {number}"),
        what: "attempt failed".into(),
        tone: Tone::Bad,
        content: detail.clone(),
        detail,
        tokens: None,
    }
}
