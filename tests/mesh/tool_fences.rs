//! A worker whose work was taken over while it called a tool: what has not left does not leave any more.

use holdfast_config::Peer;
use holdfast_proto::gateway::v1::SubmitInvocationRequest;
use holdfast_proto::queue::v1::{InvocationSpec, LeaseRequest, Payload};
use holdfast_proto::state::v1::RegisterFenceRequest;
use holdfast_proto::tool::v1::{CallToolRequest, CallToolResponse};
use holdfast_rpc::status;
use holdfast_testkit::Mesh;
use holdfast_tests::simulated::{counts, until};
use tokio::task::JoinHandle;
use tonic::{Request, Response, Status};

/// One tool of each kind with one place for calls, and a fallback that must not hide what happened.
const CONFIG: &str = r#"
[gateway]
extra_agents = ["work"]

[queue]
lease_ttl = "2s"

[tools.read]
url = "simulator:/tools/read"
effect = "read_only"
concurrency = 1
wait = "60s"
timeout = "60s"
fallback = [{ kind = "fixed", answer = "instead" }]

[tools.put]
url = "simulator:/tools/put"
effect = "idempotent"
concurrency = 1
wait = "60s"
timeout = "60s"
fallback = [{ kind = "fixed", answer = "instead" }]

[tools.pay]
url = "simulator:/tools/pay"
effect = "effectful"
concurrency = 1
wait = "60s"
timeout = "60s"
fallback = [{ kind = "fixed", answer = "instead" }]

[simulator.tools]
read = {}
put = {}
pay = {}
"#;

const TOOLS: [&str; 3] = ["read", "put", "pay"];

async fn mesh() -> Mesh {
    let services = [Peer::Gateway, Peer::Queue, Peer::State, Peer::ToolProxy, Peer::Simulator];
    Mesh::builder().only(&services).config(CONFIG).start().await
}

async fn submit(mesh: &Mesh) {
    let payload = Some(Payload { data: b"{}".to_vec().into(), content_type: String::new() });
    let spec = InvocationSpec { agent: "work".into(), payload, ..Default::default() };
    mesh.invocations().submit_invocation(SubmitInvocationRequest { spec: Some(spec) }).await.unwrap();
}

/// A lease of the work, as soon as nobody else has it, and registered as its holder does first thing.
async fn lease(mesh: &Mesh) -> String {
    let wait = Some(prost_types::Duration { seconds: 30, nanos: 0 });
    let ask = LeaseRequest { worker: "worker".into(), agents: vec!["work".into()], max_leases: 1, wait };
    let leases = mesh.queue().lease(ask).await.unwrap().into_inner().leases;
    let token = leases.into_iter().next().expect("the work is free").token;
    mesh.state().register_fence(with(&token, RegisterFenceRequest {})).await.unwrap();
    token
}

fn with<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("holdfast-lease", token.parse().unwrap());
    request
}

type Called = JoinHandle<Result<Response<CallToolResponse>, Status>>;

/// A call, under a lease or without one, in a place of its own.
fn call(mesh: &Mesh, token: Option<&str>, tool: &str, step: u32) -> Called {
    let call = CallToolRequest { tool: tool.into(), arguments: b"{}".to_vec().into(), step, ..Default::default() };
    let request = token.map_or_else(|| Request::new(call.clone()), |token| with(token, call.clone()));
    let mut tools = mesh.tools();
    tokio::spawn(async move { tools.call_tool(request).await })
}

async fn is_refused(called: Called) {
    let refused = called.await.unwrap().expect_err("its lease was superseded");
    assert_eq!(status::reason(&refused).as_deref(), Some("FENCED"), "{refused:?}");
    assert!(!status::may_have_happened(&refused), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_superseded_worker_starts_no_call_of_any_effect() {
    let mesh = mesh().await;
    submit(&mesh).await;
    let old = lease(&mesh).await;
    let new = lease(&mesh).await;
    for (step, tool) in (1..).zip(TOOLS) {
        is_refused(call(&mesh, Some(&old), tool, step)).await;
        assert_eq!(counts(&mesh, tool).await.calls, 0, "{tool}");
        // Nothing of the refused call is left behind: the same place is free for its successor.
        let answer = call(&mesh, Some(&new), tool, step).await.unwrap().unwrap().into_inner();
        assert!(!answer.replayed, "{answer:?}");
        assert_eq!(counts(&mesh, tool).await.calls, 1, "{tool}");
    }
}

/// The fence is looked at when the wait for a place is over, not before it.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_superseded_while_it_waits_for_a_place_does_not_get_to_the_tool() {
    let mesh = mesh().await;
    for tool in TOOLS {
        let hang = r#"{"hang_rate": 1.0, "times": 1}"#;
        mesh.http(Peer::Simulator, "PUT", &format!("/admin/tools/{tool}/faults"), hang).await;
    }
    submit(&mesh).await;
    let before: Vec<Called> = TOOLS.iter().map(|tool| call(&mesh, None, tool, 0)).collect();
    for tool in TOOLS {
        until(&mesh, tool, |counts| counts.hung == 1).await;
    }
    let old = lease(&mesh).await;
    let waiting: Vec<Called> = (1..).zip(TOOLS).map(|(step, tool)| call(&mesh, Some(&old), tool, step)).collect();
    lease(&mesh).await;
    assert!(waiting.iter().all(|called| !called.is_finished()), "they stand in line");
    before.iter().for_each(JoinHandle::abort);
    for (called, tool) in waiting.into_iter().zip(TOOLS) {
        is_refused(called).await;
        assert_eq!(counts(&mesh, tool).await.calls, 1, "{tool} saw the first call only");
    }
}
