//! One invocation, one trace, over all six services, also when a worker dies.

use std::time::Duration;

use holdfast_config::Peer;
use holdfast_proto::gateway::v1::RunInvocationRequest;
use holdfast_proto::queue::v1::{
    FailRequest, Failure, Invocation, InvocationSpec, InvocationState, LeaseRequest, Payload,
};
use holdfast_testkit::{Collector, Mesh, Signal};
use holdfast_tests::tool_hang::calls_at;
use holdfast_tests::traces::{CALLER, TRACE, Trace};
use tokio::task::JoinHandle;
use tonic::Request;

const DISPUTE: &str = r#"{"customer_id":"C-1001","message":"I did not make this payment"}"#;
const WITHIN: Duration = Duration::from_secs(60);

async fn traced(collector: &Collector) -> Mesh {
    let quiet = ("HOLDFAST_TELEMETRY__LOG", "error");
    Mesh::builder().env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint()).env(quiet.0, quiet.1).start().await
}

/// Runs the demonstration for a caller who has a trace already, and records it.
fn run(mesh: &Mesh) -> JoinHandle<Invocation> {
    run_as(mesh, "01")
}

/// The same for a caller whose flags say what is done with the trace.
fn run_as(mesh: &Mesh, flags: &str) -> JoinHandle<Invocation> {
    let mut invocations = mesh.invocations();
    let payload = Some(Payload { data: DISPUTE.into(), content_type: String::new() });
    let spec = InvocationSpec { agent: "disputes".into(), payload, ..Default::default() };
    let mut request = Request::new(RunInvocationRequest { spec: Some(spec) });
    request.metadata_mut().insert("traceparent", format!("00-{TRACE}-{CALLER}-{flags}").parse().unwrap());
    request.set_timeout(WITHIN);
    tokio::spawn(async move {
        let ended = invocations.run_invocation(request).await.expect("it ends").into_inner();
        ended.invocation.expect("it has ended")
    })
}

/// Ends every service, so that each has sent what it had, and gives the invocation's trace.
async fn trace_of(invocation: &Invocation, mut mesh: Mesh, collector: &Collector) -> Trace {
    for peer in [Peer::Agent, Peer::Gateway, Peer::Queue, Peer::LlmProxy, Peer::ToolProxy, Peer::State, Peer::Simulator]
    {
        mesh.signal(peer, Signal::Terminate).await;
        let ended = tokio::time::timeout(WITHIN, mesh.process(peer).wait()).await;
        assert!(ended.expect("it drains").success(), "{} ends well", peer.name());
    }
    Trace::of(&invocation.id, collector.spans())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invocation_is_one_trace_over_all_six_services() {
    let collector = Collector::start().await;
    let mesh = traced(&collector).await;
    let invocation = run(&mesh).await.unwrap();
    assert_eq!(invocation.state(), InvocationState::Succeeded, "{invocation:?}");

    let trace = trace_of(&invocation, mesh, &collector).await;
    trace.covers_all_six_services();
    trace.holds_every_span_of_its_invocation();
    assert_eq!(trace.below_the_caller().len(), 1, "one begins it all: {trace}");
    assert!(trace.lost_parents().is_empty(), "no orphan: {trace}");
    for name in ["enqueue disputes", "queue.wait disputes", "invoke_agent disputes"] {
        assert_eq!(trace.named(name).len(), 1, "{name} once: {trace}");
    }
    for tool in ["lookup_customer", "lookup_payment", "record_decision"] {
        assert_eq!(trace.named(&format!("execute_tool {tool}")).len(), 1, "{tool} has its span: {trace}");
    }
    let tokens = trace.named("chat default").into_iter().filter_map(|span| span.attribute("gen_ai.usage.input_tokens"));
    assert!(tokens.count() > 0, "tokens are told: {trace}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invocation_that_outlives_its_worker_is_still_one_trace() {
    let collector = Collector::start().await;
    let mut mesh = traced(&collector).await;
    mesh.http(Peer::Simulator, "PUT", "/admin/tools/lookup_payment/faults", r#"{"hang_rate":1.0}"#).await;
    let running = run(&mesh);
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    while calls_at(&mesh, "lookup_payment").await == 0 {
        ticks.tick().await;
    }
    mesh.kill(Peer::Agent).await;
    mesh.http(Peer::Simulator, "PUT", "/admin/tools/lookup_payment/faults", "{}").await;
    mesh.restart(Peer::Agent).await;
    let invocation = running.await.unwrap();
    assert_eq!(invocation.state(), InvocationState::Succeeded, "{invocation:?}");
    assert_eq!(invocation.lost_leases, 1, "its first worker died");

    let trace = trace_of(&invocation, mesh, &collector).await;
    trace.covers_all_six_services();
    trace.holds_every_span_of_its_invocation();
    assert_eq!(trace.below_the_caller().len(), 1, "one begins it all: {trace}");
    assert!(trace.lost_parents().is_empty(), "no orphan: {trace}");
    assert_eq!(trace.errors("invoke_agent disputes"), ["LEASE_LOST", ""], "the queue tells both attempts: {trace}");
    assert_eq!(trace.errors("agent.run disputes"), [""], "the first worker died: {trace}");
    let waits = trace.named("queue.wait disputes");
    let lost: Vec<_> = waits.iter().filter_map(|span| span.attribute("lost_leases")).collect();
    assert_eq!(lost, ["0", "1"], "a wait for each attempt: {trace}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_after_a_failed_one_is_in_the_same_trace() {
    let collector = Collector::start().await;
    let builder = Mesh::builder().env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint());
    let mut mesh = builder.without(Peer::Agent).start().await;
    let running = run(&mesh);
    let wait = Some(prost_types::Duration { seconds: 20, nanos: 0 });
    let ask = LeaseRequest { worker: "clumsy".into(), agents: vec!["disputes".into()], max_leases: 1, wait };
    let lease = mesh.queue().lease(ask).await.unwrap().into_inner().leases.remove(0);
    assert!(lease.traceparent.contains(TRACE), "a worker goes on with the trace: {}", lease.traceparent);
    let failure = Some(Failure { reason: "CLUMSY".into(), message: "dropped it".into(), retryable: true });
    mesh.queue().fail(FailRequest { token: lease.token, failure, usage: None }).await.unwrap();
    mesh.restart(Peer::Agent).await;
    let invocation = running.await.unwrap();
    assert_eq!((invocation.state(), invocation.attempt), (InvocationState::Succeeded, 2), "{invocation:?}");

    let trace = trace_of(&invocation, mesh, &collector).await;
    trace.holds_every_span_of_its_invocation();
    assert!(trace.lost_parents().is_empty(), "no orphan: {trace}");
    let attempts = |name: &str| trace.named(name).into_iter().filter_map(|span| span.attribute("attempt")).collect();
    let told: [Vec<_>; 3] = ["queue.wait disputes", "invoke_agent disputes", "agent.run disputes"].map(attempts);
    assert_eq!(told, [vec!["1", "2"], vec!["1", "2"], vec!["2"]], "{trace}");
    assert_eq!(trace.errors("invoke_agent disputes"), ["CLUMSY", ""], "{trace}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_killed_leaves_no_hole_in_a_trace() {
    let collector = Collector::start().await;
    let mut mesh = traced(&collector).await;
    mesh.http(Peer::Simulator, "PUT", "/admin/tools/lookup_payment/faults", r#"{"hang_rate":1.0}"#).await;
    let running = run(&mesh);
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    while calls_at(&mesh, "lookup_payment").await == 0 {
        ticks.tick().await;
    }
    mesh.kill(Peer::ToolProxy).await;
    mesh.http(Peer::Simulator, "PUT", "/admin/tools/lookup_payment/faults", "{}").await;
    mesh.restart(Peer::ToolProxy).await;
    let invocation = running.await.unwrap();

    let trace = trace_of(&invocation, mesh, &collector).await;
    trace.holds_every_span_of_its_invocation();
    assert!(trace.lost_parents().is_empty(), "no orphan: {trace}");
    let calls = trace.errors("execute_tool lookup_payment");
    assert!(calls.contains(&"PROCESS_LOST"), "the call that was cut short is told: {calls:?} {trace}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_its_caller_does_not_record_nobody_records() {
    let collector = Collector::start().await;
    let mesh = traced(&collector).await;
    let invocation = run_as(&mesh, "00").await.unwrap();
    assert_eq!(invocation.state(), InvocationState::Succeeded, "{invocation:?}");
    let trace = trace_of(&invocation, mesh, &collector).await;
    assert!(trace.is_empty(), "{trace}");
    trace.has_nothing_elsewhere();
}
