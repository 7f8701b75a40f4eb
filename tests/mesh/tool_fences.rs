//! A worker whose work was taken over while it called a tool: what has not left does not leave any more.

use holdfast_config::Peer;
use holdfast_proto::tool::v1::{CallToolRequest, CallToolResponse};
use holdfast_rpc::status;
use holdfast_testkit::Mesh;
use holdfast_tests::simulated::{counts, until};
use holdfast_tests::work::{lease, submit, under};
use tokio::task::JoinHandle;
use tonic::{Request, Response, Status};

/// One tool of each kind with one place for calls, and a fallback that must not hide what happened.
const TOOLS: [&str; 3] = ["read", "put", "pay"];

fn config() -> String {
    let tool = |(name, effect)| {
        format!(
            "[tools.{name}]\nurl = \"simulator:/tools/{name}\"\neffect = \"{effect}\"\nconcurrency = 1\nwait = \"60s\"\n\
             timeout = \"60s\"\nfallback = [{{ kind = \"fixed\", answer = \"instead\" }}]\n[simulator.tools.{name}]\n"
        )
    };
    let tools = TOOLS.into_iter().zip(["read_only", "idempotent", "effectful"]).map(tool).collect::<String>();
    format!("[gateway]\nextra_agents = [\"work\"]\n[queue]\nlease_ttl = \"2s\"\n{tools}")
}

async fn mesh() -> Mesh {
    let services = [Peer::Gateway, Peer::Queue, Peer::State, Peer::ToolProxy, Peer::Simulator];
    Mesh::builder().only(&services).config(config()).start().await
}

type Called = JoinHandle<Result<Response<CallToolResponse>, Status>>;

/// A call, under a lease or without one, in a place of its own.
fn call(mesh: &Mesh, token: Option<&str>, tool: &str, step: u32) -> Called {
    let call = CallToolRequest { tool: tool.into(), arguments: b"{}".to_vec().into(), step, ..Default::default() };
    let request = token.map_or_else(|| Request::new(call.clone()), |token| under(token, call.clone()));
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
    submit(&mesh, "").await;
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
    submit(&mesh, "").await;
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
