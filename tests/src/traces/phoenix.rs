//! A trace UI that is not ours takes our traces: Arize Phoenix, over OTLP gRPC. What it made of them is asked of its API.

mod server;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use holdfast_config::Peer;
use holdfast_proto::gateway::v1::RunInvocationRequest;
use holdfast_proto::queue::v1::{InvocationSpec, InvocationState, Payload};
use holdfast_testkit::{Mesh, Signal};
use serde::Deserialize;
use serde_json::Value;

use self::server::Phoenix;
use super::storm::{DISPUTE, demonstration};
use crate::load::{Findings, telling};

/// A span as Phoenix tells it.
#[derive(Debug, Clone, Deserialize)]
struct Shown {
    name: String,
    context: Context,
    /// By which it is drawn: LLM, TOOL, AGENT, UNKNOWN.
    span_kind: String,
    parent_id: Option<String>,
    attributes: Value,
}

#[derive(Debug, Clone, Deserialize)]
struct Context {
    trace_id: String,
    span_id: String,
}

/// Runs the proof; none where Phoenix is not installed.
///
/// # Panics
/// Where the mesh or Phoenix does not come up.
pub async fn run() -> Option<Findings> {
    let phoenix = Phoenix::start().await?;
    telling("Phoenix is up");
    let mut mesh = Mesh::builder()
        .config(demonstration())
        .env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", phoenix.collector())
        .env("HOLDFAST_TELEMETRY__TRACE_RATIO", "1.0")
        .env("HOLDFAST_TELEMETRY__LOG", "error")
        .start()
        .await;
    let invocation = dispute(&mesh).await;
    for peer in [Peer::Gateway, Peer::Agent, Peer::LlmProxy, Peer::ToolProxy, Peer::Queue, Peer::State] {
        mesh.signal(peer, Signal::Terminate).await;
        mesh.process(peer).wait().await;
    }
    let spans = phoenix.spans_of(&invocation).await;
    spans.iter().for_each(|span| println!("  {:8} {}", span.span_kind, span.name));
    Some(findings(&spans))
}

/// Runs the demonstration to its end; its id.
async fn dispute(mesh: &Mesh) -> String {
    let payload = Some(Payload { data: DISPUTE.into(), content_type: String::new() });
    let spec = InvocationSpec { agent: "disputes".into(), payload, ..Default::default() };
    let ended = mesh.invocations().run_invocation(RunInvocationRequest { spec: Some(spec) }).await;
    let invocation = ended.expect("it ends").into_inner().invocation.expect("it has ended");
    assert_eq!(invocation.state(), InvocationState::Succeeded, "{invocation:?}");
    invocation.id
}

fn findings(spans: &[Shown]) -> Findings {
    let traces: BTreeSet<_> = spans.iter().map(|span| &span.context.trace_id).collect();
    let ids: HashSet<_> = spans.iter().map(|span| &span.context.span_id).collect();
    let orphans = spans.iter().filter_map(|span| span.parent_id.as_ref()).filter(|parent| !ids.contains(parent));
    let mut kinds: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for span in spans {
        kinds.entry(&span.span_kind).or_default().insert(&span.name);
    }
    let of = |kind, names: &[&str]| {
        let known = kinds.get(kind);
        names.iter().filter(|name| known.is_some_and(|known| known.contains(*name))).count() as f64
    };
    let counted = |span: &&Shown| span.attributes["llm.token_count.prompt"].as_u64().is_some_and(|tokens| tokens > 0);
    let chats = || spans.iter().filter(|span| span.name == "chat default");
    let mut findings = Findings::default();
    findings.at_least("spans", spans.len() as f64, 20.0);
    findings.at_most("traces", traces.len() as f64, 1.0);
    findings.at_most("roots", spans.iter().filter(|span| span.parent_id.is_none()).count() as f64, 1.0);
    findings.at_most("orphans", orphans.count() as f64, 0.0);
    findings.at_least("agents_recognised", of("AGENT", &["invoke_agent disputes"]), 1.0);
    findings.at_least("models_recognised", of("LLM", &["chat default"]), 1.0);
    let tools = ["execute_tool lookup_customer", "execute_tool lookup_payment", "execute_tool record_decision"];
    findings.at_least("tools_recognised", of("TOOL", &tools), tools.len() as f64);
    findings.at_least("model_calls_with_tokens", chats().filter(counted).count() as f64, chats().count().max(1) as f64);
    findings
}
