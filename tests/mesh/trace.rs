//! One invocation, one trace, over all six services.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use holdfast_config::Peer;
use holdfast_testkit::{Collector, Mesh, ReceivedSpan};

const DISPUTE: &str = r#"{"customer_id":"C-1001","message":"I did not make this payment"}"#;
const SERVICES: [&str; 6] = ["gateway", "queue", "agent", "llm-proxy", "tool-proxy", "state"];

fn spans_by_trace(spans: &[ReceivedSpan]) -> BTreeMap<&str, Vec<&ReceivedSpan>> {
    let mut traces = BTreeMap::<_, Vec<_>>::new();
    for span in spans {
        traces.entry(span.trace_id.as_str()).or_default().push(span);
    }
    traces
}

/// The trace that holds the agent's span, if all six services are in it and its root has come.
fn whole(spans: &[ReceivedSpan]) -> Option<Vec<&ReceivedSpan>> {
    spans_by_trace(spans).into_values().find(|trace| {
        let services: BTreeSet<_> = trace.iter().map(|span| span.service.as_str()).collect();
        let agent_is_in = trace.iter().any(|span| span.name == "invoke_agent disputes");
        let everybody = SERVICES.iter().all(|name| services.iter().any(|service| service.ends_with(name)));
        agent_is_in && everybody && orphans(trace).is_empty()
    })
}

/// Spans whose parent is not there; roots are not orphans.
fn orphans<'a>(trace: &[&'a ReceivedSpan]) -> Vec<&'a ReceivedSpan> {
    let ids: BTreeSet<_> = trace.iter().map(|span| span.span_id.as_str()).collect();
    let lost = |span: &&&ReceivedSpan| !span.parent_id.is_empty() && !ids.contains(span.parent_id.as_str());
    trace.iter().filter(lost).copied().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invocation_is_one_trace_over_all_six_services() {
    let collector = Collector::start().await;
    let mesh = Mesh::builder()
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint())
        .env("OTEL_BSP_SCHEDULE_DELAY", "100")
        .start()
        .await;
    let output = mesh.command().args(["submit", "disputes", DISPUTE, "--wait"]).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let spans = collector.wait_for(Duration::from_secs(15), |spans| whole(spans).is_some()).await;
    let Some(spans) = spans else { panic!("no whole trace: {:#?}", summary(&collector.spans())) };
    let trace = whole(&spans).unwrap();
    let roots: Vec<_> = trace.iter().filter(|span| span.parent_id.is_empty()).collect();
    assert_eq!(roots.len(), 1, "one root: {roots:?}");
    for tool in ["lookup_customer", "lookup_payment", "record_decision"] {
        let called = trace.iter().any(|span| span.name == format!("execute_tool {tool}"));
        assert!(called, "{tool} has its span: {:#?}", summary(&spans));
    }
    let chats = trace.iter().filter(|span| span.name.starts_with("chat "));
    assert!(chats.filter_map(|span| span.attribute("gen_ai.usage.input_tokens")).count() > 0, "tokens are told");
    assert!(mesh.metrics(Peer::Agent).await.contains("holdfast_"), "metrics are there from the start");
}

/// What came, for a failing test's reader: trace, service, name, parent.
fn summary(spans: &[ReceivedSpan]) -> Vec<String> {
    let line = |span: &ReceivedSpan| {
        let ReceivedSpan { trace_id, service, name, span_id, parent_id, .. } = span;
        format!("{} {service}: {name} {span_id} < {parent_id}", &trace_id[..8.min(trace_id.len())])
    };
    let mut lines: Vec<_> = spans.iter().map(line).collect();
    lines.sort();
    lines
}
