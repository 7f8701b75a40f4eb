//! Between what this service means and what travels.

use bytes::Bytes;
use holdfast_proto::tool::v1 as pb;
use holdfast_resilience::breaker::State;
use holdfast_rpc::time;

use crate::catalog::Tool;
use crate::circuits::Circuit;
use crate::domain::{Effect, Outcome, Reply};

impl From<Reply> for pb::CallToolResponse {
    fn from(reply: Reply) -> Self {
        let timing = pb::call_tool_response::Timing {
            waited: Some(time::duration(reply.timing.waited)),
            called: Some(time::duration(reply.timing.called)),
            attempts: reply.timing.attempts,
        };
        Self {
            content: reply.answer.content,
            content_type: reply.answer.content_type,
            outcome: outcome(reply.answer.outcome).into(),
            degraded_reason: reply.answer.reason,
            age: reply.answer.age.map(time::duration),
            replayed: reply.replayed,
            timing: Some(timing),
        }
    }
}

impl From<Circuit> for pb::Circuit {
    fn from(circuit: Circuit) -> Self {
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
            reason: snapshot.reason.to_string(),
            changed_at: Some(time::timestamp(time::now_micros().saturating_sub(ago))),
            calls: snapshot.calls,
            failures: snapshot.failures,
            retry_after,
        }
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
