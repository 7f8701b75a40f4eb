//! One snapshot for programs.

use std::time::Duration;

use holdfast_rpc::time;
use serde_json::{Value, json};

use super::figures::{self, Agent, Circuit, Key, Latency, Line, Service, TokenUse};
use super::known::{Health, TroubleKind};
use super::panes;
use super::state::State;
use crate::output::{invocation_json, timestamp};

/// Everything that is known, and what is not and why. What is not known is null.
pub(crate) fn document(state: &State) -> Value {
    let known = &state.known;
    let list = |values: Vec<Value>, told: bool| match told || !values.is_empty() {
        true => Value::Array(values),
        false => Value::Null,
    };
    let circuits = figures::circuits(known, state.wall);
    let invocations = known.invocations.get().into_iter().flatten().map(invocation_json).collect();
    let records = figures::state(known);
    json!({
        "address": state.address,
        "at": timestamp(&time::timestamp(state.wall)),
        "gateway_reached": !state.gateway_is_lost(),
        "services": figures::services(known).iter().map(service).collect::<Vec<_>>(),
        "agents": list(figures::agents(known).iter().map(agent).collect(), known.depths.get().is_some()),
        "circuits": list(circuits.iter().map(circuit).collect(), known.circuits.get().is_some()),
        "keys": list(figures::keys(known).iter().map(key).collect(), known.capacity.get().is_some()),
        "lines": list(figures::lines(known).iter().map(line).collect(), known.capacity.get().is_some()),
        "state": {
            "latencies": records.latencies.iter().map(latency).collect::<Vec<_>>(),
            "conflicts_per_second": records.conflicts_per_second,
            "dirty_writes": records.dirty_writes,
            "unstored_age_ms": millis(records.unstored_age),
            "epochs_lost": records.epochs_lost,
        },
        "tokens": figures::tokens(known).iter().map(tokens).collect::<Vec<_>>(),
        "invocations": list(invocations, known.invocations.get().is_some()),
        "troubles": panes::troubles(state),
    })
}

fn millis(span: Option<Duration>) -> Option<f64> {
    span.map(|span| span.as_secs_f64() * 1e3)
}

fn service(service: &Service<'_>) -> Value {
    let trouble = service.health.trouble();
    let health = match (trouble.map(|trouble| trouble.kind), service.health.get()) {
        (Some(TroubleKind::Unreached), _) => "unreached",
        (Some(TroubleKind::Denied | TroubleKind::Refused), _) => "refuses",
        (None, Some(Health::Serving)) => "serving",
        (None, Some(Health::NotServing)) => "draining",
        (None, None) => "unknown",
    };
    json!({
        "service": service.name, "address": service.address, "health": health,
        "why": trouble.or(service.metrics.trouble()).map(|trouble| trouble.why.as_str()),
        "calls_per_second": service.calls, "not_ok_per_second": service.not_ok, "p99_ms": millis(service.p99),
        "memory_bytes": service.memory_bytes, "cpu": service.cpu,
    })
}

fn agent(agent: &Agent<'_>) -> Value {
    json!({
        "agent": agent.name, "queued": agent.queued, "leased": agent.leased, "oldest_age_ms": millis(agent.oldest),
        "queued_of_all_tenants": agent.queued_of_all, "ended_per_second": agent.drain,
        "wait_p50_ms": millis(agent.wait_p50), "wait_p99_ms": millis(agent.wait_p99),
    })
}

fn circuit(circuit: &Circuit) -> Value {
    let window =
        circuit.window.map(|(calls, failures, slow)| json!({"calls": calls, "failures": failures, "slow_calls": slow}));
    json!({
        "circuit": circuit.name, "state": circuit.standing.name(), "window": window, "by_hand": circuit.by_hand,
        "since_ms": millis(circuit.since), "reason": circuit.reason,
    })
}

fn key(key: &Key<'_>) -> Value {
    let limit = key.limit.as_ref().map(|limit| {
        json!({"kind": limit.kind.as_str_name(), "model": limit.model, "limit": limit.limit, "available": limit.available})
    });
    json!({
        "provider": key.provider, "key": key.name, "health": key.health.as_str_name(),
        "rest_ms": millis(Some(key.rest)), "in_flight": key.in_flight, "provider_429": key.refused, "limit": limit,
    })
}

fn line(line: &Line<'_>) -> Value {
    json!({
        "provider": line.provider, "model": line.model, "waiting": line.waiting,
        "waiting_tokens": line.waiting_tokens, "wait_ms": millis(Some(line.wait)),
    })
}

fn latency(latency: &Latency) -> Value {
    json!({
        "backend": latency.backend, "access": latency.access, "kind": latency.kind,
        "per_second": latency.per_second, "p50_ms": millis(latency.p50), "p99_ms": millis(latency.p99),
    })
}

fn tokens(used: &TokenUse) -> Value {
    json!({
        "model": used.model, "tenant": used.tenant, "agent": used.agent, "input": used.input, "output": used.output,
        "input_per_second": used.input_rate, "output_per_second": used.output_rate,
    })
}
