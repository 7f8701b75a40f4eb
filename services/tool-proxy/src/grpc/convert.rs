//! Between what this service means and what travels.

use bytes::Bytes;
use holdfast_proto::tool::v1 as pb;
use holdfast_resilience::breaker::{Mode, State};
use holdfast_rpc::time;

use crate::catalog::Tool;
use crate::circuits::{Kind, Report};
use crate::config::Fallback;
use crate::domain::{Effect, Outcome, Reply, StandIn};

impl From<Reply> for pb::CallToolResponse {
    fn from(reply: Reply) -> Self {
        let timing = pb::call_tool_response::Timing {
            waited: Some(time::duration(reply.timing.waited)),
            called: Some(time::duration(reply.timing.called)),
            attempts: reply.timing.attempts,
        };
        let (fallback, fallback_tool) = match reply.answer.stand_in {
            None => (pb::FallbackKind::Unspecified, String::new()),
            Some(StandIn::Fixed) => (pb::FallbackKind::Fixed, String::new()),
            Some(StandIn::LastGood) => (pb::FallbackKind::LastGood, String::new()),
            Some(StandIn::Tool(name)) => (pb::FallbackKind::Tool, name),
            Some(StandIn::Unavailable) => (pb::FallbackKind::Unavailable, String::new()),
        };
        Self {
            content: reply.answer.content,
            content_type: reply.answer.content_type,
            outcome: outcome(reply.answer.outcome).into(),
            degraded_reason: reply.answer.reason,
            age: reply.answer.age.map(time::duration),
            replayed: reply.replayed,
            timing: Some(timing),
            fallback: fallback.into(),
            fallback_tool,
        }
    }
}

impl From<Report> for pb::Circuit {
    fn from(circuit: Report) -> Self {
        let reason = circuit.reason();
        let snapshot = circuit.snapshot;
        let ago = i64::try_from(snapshot.changed_ago.as_micros()).unwrap_or(i64::MAX);
        let (state, retry_after) = match snapshot.state {
            State::Closed => (pb::CircuitState::Closed, None),
            State::Open => (pb::CircuitState::Open, Some(time::duration(snapshot.retry_after))),
            State::HalfOpen => (pb::CircuitState::HalfOpen, None),
        };
        Self {
            name: circuit.name.to_string(),
            state: state.into(),
            reason,
            changed_at: Some(time::timestamp(time::now_micros().saturating_sub(ago))),
            calls: snapshot.calls,
            failures: snapshot.failures,
            retry_after,
            mode: mode(snapshot.mode).into(),
            kind: match circuit.kind {
                Kind::Tool => pb::CircuitKind::Tool,
                Kind::Host => pb::CircuitKind::Host,
            }
            .into(),
            slow_calls: snapshot.slow,
            set_by: circuit.word.as_ref().map(|word| word.by.clone()).unwrap_or_default(),
            set_reason: circuit.word.map(|word| word.why).unwrap_or_default(),
        }
    }
}

const fn mode(mode: Mode) -> pb::CircuitMode {
    match mode {
        Mode::Auto => pb::CircuitMode::Auto,
        Mode::ForcedOpen => pb::CircuitMode::Open,
        Mode::ForcedClosed => pb::CircuitMode::Closed,
    }
}

pub(super) fn tool(tool: &Tool) -> pb::Tool {
    let effect = match tool.effect {
        Effect::ReadOnly => pb::Effect::ReadOnly,
        Effect::Idempotent => pb::Effect::Idempotent,
        Effect::Effectful => pb::Effect::Effectful,
    };
    pb::Tool {
        name: tool.name.clone(),
        description: tool.description.clone(),
        input_schema: Bytes::copy_from_slice(tool.schema.text().as_bytes()),
        effect: effect.into(),
        fallbacks: tool.fallback.iter().map(|fallback| kind(fallback).into()).collect(),
        simulated: tool.upstream.is_simulated(),
    }
}

const fn kind(fallback: &Fallback) -> pb::FallbackKind {
    match fallback {
        Fallback::Fixed { .. } => pb::FallbackKind::Fixed,
        Fallback::LastGood { .. } => pb::FallbackKind::LastGood,
        Fallback::Tool { .. } => pb::FallbackKind::Tool,
        Fallback::Unavailable { .. } => pb::FallbackKind::Unavailable,
    }
}

const fn outcome(outcome: Outcome) -> pb::Outcome {
    match outcome {
        Outcome::Real => pb::Outcome::Real,
        Outcome::ToolError => pb::Outcome::ToolError,
        Outcome::Cached => pb::Outcome::Cached,
        Outcome::Degraded => pb::Outcome::Degraded,
        Outcome::Unavailable => pb::Outcome::Unavailable,
        Outcome::Unknown => pb::Outcome::Unknown,
    }
}
