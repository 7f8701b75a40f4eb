//! What the commands print: for people by default, JSON with `--json` (one document, or one per line).

mod human;
mod json;
mod state;
mod tools;

use std::io::Write as _;

use holdfast_proto::queue::v1::InvocationState;
use serde_json::Value;

pub(crate) use human::{answer, circuit, circuit_change, event, invocation, row, timestamp};
pub(crate) use json::{circuit_json, event_json, invocation_json, millis};
pub(crate) use state::{
    change_json, change_row, edition_json, edition_row, lock_json, lock_row, parse_version, record, record_json,
    record_row, version,
};
pub(crate) use tools::{tool_answer, tool_answer_json, tool_json, tool_row};

/// Where a command's answer goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Prints one thing: its document on one line, or its text. False where nobody reads any more.
    pub(crate) fn print(self, document: impl FnOnce() -> Value, text: impl FnOnce() -> String) -> bool {
        if self.json { line(&document().to_string()) } else { line(&text()) }
    }

    /// Prints an error to standard error: a sentence, or a document with the same and what programs need.
    pub(crate) fn fail(self, document: impl FnOnce() -> Value, text: impl FnOnce() -> String) {
        let text = if self.json { document().to_string() } else { text() };
        // Nobody reads any more: there is nobody to tell either.
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }
}

/// Prints a line; a reader that has gone away (`| head`) is no error, but told.
pub(crate) fn line(text: &str) -> bool {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).is_ok()
}

/// A state as people write it.
pub(crate) fn state_name(state: InvocationState) -> &'static str {
    match state {
        InvocationState::Unspecified => "unknown",
        InvocationState::Queued => "queued",
        InvocationState::Leased => "leased",
        InvocationState::Succeeded => "succeeded",
        InvocationState::Failed => "failed",
        InvocationState::Cancelled => "cancelled",
        InvocationState::Dead => "dead",
    }
}

/// The states that a caller may name.
const STATES: [InvocationState; 6] = [
    InvocationState::Queued,
    InvocationState::Leased,
    InvocationState::Succeeded,
    InvocationState::Failed,
    InvocationState::Cancelled,
    InvocationState::Dead,
];

/// Reads a state as people write it.
pub(crate) fn parse_state(text: &str) -> Result<InvocationState, String> {
    STATES
        .into_iter()
        .find(|state| state_name(*state).eq_ignore_ascii_case(text))
        .ok_or_else(|| format!("there is no such state; there are {}", STATES.map(state_name).join(", ")))
}
