//! A worker that is stopped while its work is taken over or cancelled, and then goes on as if nothing had happened.

use std::process::Stdio;
use std::time::Duration;

use holdfast_config::Peer;
use holdfast_proto::gateway::v1::{CancelInvocationRequest, GetInvocationRequest};
use holdfast_proto::queue::v1::{CompleteRequest, InvocationState};
use holdfast_proto::state::v1::{Address, GetRequest, RegisterFenceRequest};
use holdfast_testkit::{Mesh, Signal};
use holdfast_tests::work::{lease, submit, under};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, interval};
use tonic::Code;

const CONFIG: &str = r#"
[gateway]
extra_agents = ["work"]

[queue]
lease_ttl = "2s"

[tools.pay]
url = "simulator:/tools/echo"
effect = "effectful"
fallback = [{ kind = "unavailable", advice = "Go on without." }]
"#;

/// The worker's process, and the lease that it holds.
struct Frozen {
    process: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    token: String,
}

impl Frozen {
    /// Starts a worker, waits until it holds a lease, and stops it.
    async fn start(mesh: &Mesh) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_frozen-worker"));
        command.args([&mesh.url(Peer::Gateway), "work", "pay"]).kill_on_drop(true);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it was built");
        let (input, output) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let mut output = BufReader::new(output).lines();
        let token = output.next_line().await.unwrap().expect("it leases");
        Signal::Stop.send(process.id().unwrap()).await;
        Self { process, input, output, token }
    }

    /// Lets it go on, and gives what came of everything that it tries.
    async fn go_on(mut self) -> Value {
        self.input.write_all(b"go\n").await.unwrap();
        Signal::Continue.send(self.process.id().unwrap()).await;
        let line = self.output.next_line().await.unwrap().expect("it tells what happened");
        serde_json::from_str(&line).expect("it tells in JSON")
    }
}

async fn mesh() -> Mesh {
    let services = [Peer::Gateway, Peer::Queue, Peer::State, Peer::ToolProxy, Peer::Simulator];
    Mesh::builder().only(&services).config(CONFIG).start().await
}

async fn state_of(mesh: &Mesh, id: &str) -> InvocationState {
    let request = GetInvocationRequest { invocation_id: id.into() };
    let answer = mesh.invocations().get_invocation(request).await.unwrap().into_inner();
    answer.invocation.unwrap().state()
}

/// Nothing of what a refused worker tried is there: no record, and no call at the tool.
async fn nothing_happened(mesh: &Mesh) {
    for key in ["put", "batch"] {
        let address = Address { namespace: "frozen".into(), partition: "p".into(), key: key.into() };
        let got = mesh.state().get(GetRequest { address: Some(address), ..Default::default() }).await;
        assert_eq!(got.unwrap_err().code(), Code::NotFound, "{key}");
    }
    let counts: Value = serde_json::from_str(&mesh.http(Peer::Simulator, "GET", "/admin/counts", "").await).unwrap();
    assert_eq!(counts["tools"]["echo"]["calls"], 0, "{counts}");
}

/// Every attempt by its outcome.
fn refused_as(state: &str, queue: &str) -> Value {
    json!({
        "put": state, "batch_put": state, "delete": state, "call_tool": state,
        "report_progress": queue, "fail": queue, "complete": queue,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_superseded_worker_cannot_complete_write_or_start_a_call() {
    let mesh = mesh().await;
    for session in ["", "account-7"] {
        let id = submit(&mesh, session).await;
        let frozen = Frozen::start(&mesh).await;
        let successor = lease(&mesh).await;
        assert_eq!(frozen.go_on().await, refused_as("FENCED", "LEASE_LOST"), "session {session:?}");
        nothing_happened(&mesh).await;
        let complete = CompleteRequest { token: successor, ..Default::default() };
        mesh.queue().complete(complete).await.expect("the successor's lease counts");
        assert_eq!(state_of(&mesh, &id).await, InvocationState::Succeeded);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_work_ended_elsewhere_cannot_complete_write_or_start_a_call() {
    let mesh = mesh().await;
    let id = submit(&mesh, "account-7").await;
    let frozen = Frozen::start(&mesh).await;
    let successor = lease(&mesh).await;
    let complete = CompleteRequest { token: successor, ..Default::default() };
    mesh.queue().complete(complete).await.expect("the successor's lease counts");
    assert_eq!(frozen.go_on().await, refused_as("FENCED", "LEASE_LOST"));
    nothing_happened(&mesh).await;
    assert_eq!(state_of(&mesh, &id).await, InvocationState::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_work_was_cancelled_cannot_complete_write_or_start_a_call() {
    let mesh = mesh().await;
    let id = submit(&mesh, "").await;
    let frozen = Frozen::start(&mesh).await;
    let cancel = CancelInvocationRequest { invocation_id: id.clone(), reason: "not needed".into() };
    mesh.invocations().cancel_invocation(cancel).await.unwrap();
    fenced(&mesh, &frozen.token).await;
    assert_eq!(frozen.go_on().await, refused_as("FENCED", "CANCELLED"));
    nothing_happened(&mesh).await;
    assert_eq!(state_of(&mesh, &id).await, InvocationState::Cancelled);
}

/// Waits until the queue has told state that this lease has ended: it does so right after the cancellation.
async fn fenced(mesh: &Mesh, token: &str) {
    let until = Instant::now() + Duration::from_secs(60);
    let mut ticks = interval(Duration::from_millis(10));
    while mesh.state().register_fence(under(token, RegisterFenceRequest {})).await.is_ok() {
        assert!(Instant::now() < until, "the queue does not raise the fence of cancelled work");
        ticks.tick().await;
    }
}
