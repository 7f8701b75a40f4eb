//! One invocation, one trace, over all six services, also when a worker dies.

use std::time::Duration;

use holdfast_config::Peer;
use holdfast_proto::gateway::v1::{RunInvocationRequest, SubmitInvocationRequest};
use holdfast_proto::queue::v1::{
    CompleteRequest, FailRequest, Failure, Invocation, InvocationSpec, InvocationState, LeaseRequest, Payload,
};
use holdfast_testkit::{Collector, Mesh, ReceivedSpan};
use holdfast_tests::patience::patiently;
use holdfast_tests::tool_hang::calls_at;
use holdfast_tests::traces::{CALLER, TRACE, Trace};
use tokio::task::JoinHandle;
use tonic::Request;

const DISPUTE: &str = r#"{"customer_id":"C-1001","message":"I did not make this payment"}"#;
/// The trace of a caller who does not record it.
const UNRECORDED: &str = "0af7651916cd43dd8448eb211c80319c";
const WITHIN: Duration = Duration::from_secs(60);

async fn traced(collector: &Collector) -> Mesh {
    let quiet = ("HOLDFAST_TELEMETRY__LOG", "error");
    Mesh::builder().env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint()).env(quiet.0, quiet.1).start().await
}

fn dispute() -> InvocationSpec {
    let payload = Some(Payload { data: DISPUTE.into(), content_type: String::new() });
    InvocationSpec { agent: "disputes".into(), payload, ..Default::default() }
}

/// Runs the demonstration for a caller who has a trace already, and records it.
fn run(mesh: &Mesh) -> JoinHandle<Invocation> {
    run_in(mesh, TRACE, "01")
}

/// The same for a caller in another trace, or whose flags say that nobody records it.
fn run_in(mesh: &Mesh, trace: &str, flags: &str) -> JoinHandle<Invocation> {
    let mut invocations = mesh.invocations();
    let mut request = Request::new(RunInvocationRequest { spec: Some(dispute()) });
    request.metadata_mut().insert("traceparent", format!("00-{trace}-{CALLER}-{flags}").parse().unwrap());
    request.set_timeout(WITHIN);
    tokio::spawn(async move {
        let ended = invocations.run_invocation(request).await.expect("it ends").into_inner();
        ended.invocation.expect("it has ended")
    })
}

/// Runs it until a call is at a tool, which does not answer before it is told to.
async fn run_into_a_hanging_tool(mesh: &Mesh) -> JoinHandle<Invocation> {
    mesh.http(Peer::Simulator, "PUT", "/admin/tools/lookup_payment/faults", r#"{"hang_rate":1.0}"#).await;
    let running = run(mesh);
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    while calls_at(mesh, "lookup_payment").await == 0 {
        ticks.tick().await;
    }
    running
}

/// Ends every service, so that each has sent what it had, and gives the invocation's trace.
async fn trace_of(invocation: &Invocation, mut mesh: Mesh, collector: &Collector) -> Trace {
    for peer in [Peer::Agent, Peer::Gateway, Peer::Queue, Peer::LlmProxy, Peer::ToolProxy, Peer::State, Peer::Simulator]
    {
        mesh.drain(peer).await;
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
    let running = run_into_a_hanging_tool(&mesh).await;
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
    let running = run_into_a_hanging_tool(&mesh).await;
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
    let unseen = run_in(&mesh, UNRECORDED, "00").await.unwrap();
    let seen = run(&mesh).await.unwrap();
    for invocation in [&unseen, &seen] {
        assert_eq!(invocation.state(), InvocationState::Succeeded, "{invocation:?}");
    }
    // Where nothing is exported at all, nothing would be found of anybody.
    let trace = trace_of(&seen, mesh, &collector).await;
    trace.covers_all_six_services();
    trace.has_nothing_elsewhere();
    let is_of_the_other = |span: &&ReceivedSpan| {
        span.trace_id == UNRECORDED || span.attribute("invocation_id").is_some_and(|id| id == unseen.id)
    };
    assert_eq!(collector.spans().iter().find(is_of_the_other).map(|span| span.name.clone()), None, "{trace}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_is_told_by_the_queues_next_life_and_told_again_to_who_asks_again() {
    let collector = Collector::start().await;
    let builder = Mesh::builder().only(&[Peer::Gateway, Peer::Queue, Peer::State]);
    let mut mesh = builder
        .env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", collector.endpoint())
        .env("OTEL_BSP_SCHEDULE_DELAY", "100")
        .start()
        .await;
    let mut submit = Request::new(SubmitInvocationRequest { spec: Some(dispute()) });
    submit.metadata_mut().insert("traceparent", format!("00-{TRACE}-{CALLER}-01").parse().unwrap());
    mesh.invocations().submit_invocation(submit).await.unwrap();
    let wait = Some(prost_types::Duration { seconds: 20, nanos: 0 });
    let ask = LeaseRequest { worker: "slow".into(), agents: vec!["disputes".into()], max_leases: 1, wait };
    let lease = mesh.queue().lease(ask).await.unwrap().into_inner().leases.remove(0);
    mesh.kill(Peer::Queue).await;
    mesh.restart(Peer::Queue).await;

    let complete = || {
        let complete = CompleteRequest { token: lease.token.clone(), ..Default::default() };
        patiently(complete, |request| {
            let mut queue = mesh.queue();
            async move { queue.complete(request).await }
        })
    };
    let attempts = |spans: &[ReceivedSpan]| -> Vec<String> {
        let attempts = spans.iter().filter(|span| span.trace_id == TRACE && span.name == "invoke_agent disputes");
        attempts.map(|span| span.span_id.clone()).collect()
    };
    complete().await.unwrap();
    let told = collector.wait_for(WITHIN, |spans| !attempts(spans).is_empty()).await;
    let told = attempts(&told.expect("the queue's next life reads of what it was, and tells"));
    complete().await.expect("the same end once more is no other");
    let again = collector.wait_for(WITHIN, |spans| attempts(spans).len() > told.len()).await;
    let again = attempts(&again.expect("who had told before may have been killed over it"));
    assert!(again.iter().all(|id| *id == told[0]), "one attempt is one span: {again:?}");
    assert!(lease.traceparent.contains(&told[0]), "below which its worker stands: {}", lease.traceparent);
}
