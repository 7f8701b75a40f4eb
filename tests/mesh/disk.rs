//! A queue whose files may not grow any more.

use std::time::Duration;

use holdfast_config::Peer;
use holdfast_proto::gateway::v1::{GetInvocationRequest, SubmitInvocationRequest};
use holdfast_proto::queue::v1::{CompleteRequest, InvocationSpec, InvocationState, LeaseRequest, Payload};
use holdfast_rpc::status::retry_after;
use holdfast_testkit::Mesh;
use holdfast_tests::patience::patiently;
use tokio::process::Command;
use tonic::{Code, Status};

async fn submit(mesh: &Mesh) -> Result<String, Status> {
    let payload = Some(Payload { data: b"{}".to_vec().into(), content_type: String::new() });
    let spec = InvocationSpec { agent: "work".into(), payload, ..Default::default() };
    let answer = mesh.invocations().submit_invocation(SubmitInvocationRequest { spec: Some(spec) }).await?;
    Ok(answer.into_inner().invocation_id)
}

async fn eventually_submit(mesh: &Mesh) -> String {
    patiently((), |_| async { submit(mesh).await.map(tonic::Response::new) }).await.expect("it is taken")
}

async fn state_of(mesh: &Mesh, id: &str) -> InvocationState {
    let request = GetInvocationRequest { invocation_id: id.into() };
    mesh.invocations().get_invocation(request).await.expect("reads are served").into_inner().invocation.unwrap().state()
}

/// Sets how large any file of the queue's may grow; the system refuses writes beyond.
async fn files_up_to(mesh: &mut Mesh, bytes: &str) {
    let pid = mesh.process(Peer::Queue).id().to_string();
    let limited = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={bytes}:")]).status().await;
    assert!(limited.expect("util-linux is there").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_whose_disk_is_full_refuses_serves_reads_and_heals_without_a_restart() {
    let config = "[gateway]\nextra_agents = [\"work\"]\n";
    let mut mesh = Mesh::builder().only(&[Peer::Gateway, Peer::Queue, Peer::State]).config(config).start().await;
    let before = eventually_submit(&mesh).await;
    let pid = mesh.process(Peer::Queue).id();

    files_up_to(&mut mesh, "1").await;
    // Refused by the disk at first, and by the breaker then.
    while !mesh.metrics(Peer::Queue).await.contains("holdfast_circuit_state{circuit=\"queue-database-writes\"} 2") {
        let refused = submit(&mesh).await.expect_err("nothing can be stored");
        assert_eq!(refused.code(), Code::Unavailable, "{refused}");
        assert!(retry_after(&refused).is_some_and(|wait| wait <= Duration::from_secs(6)), "{refused}");
        assert_eq!(state_of(&mesh, &before).await, InvocationState::Queued);
    }

    files_up_to(&mut mesh, "unlimited").await;
    let after = eventually_submit(&mesh).await;
    assert_eq!(mesh.process(Peer::Queue).id(), pid, "without a restart");
    let wait = Some(prost_types::Duration { seconds: 10, nanos: 0 });
    for id in [&before, &after] {
        let ask = LeaseRequest { worker: "w".into(), agents: vec!["work".into()], max_leases: 1, wait };
        let leased = mesh.queue().lease(ask).await.unwrap().into_inner().leases.remove(0);
        assert_eq!(leased.invocation.unwrap().id, **id);
        let complete = CompleteRequest { token: leased.token, ..Default::default() };
        // A breaker that has just closed may open once more.
        let completed = patiently(complete, |request| {
            let mut queue = mesh.queue();
            async move { queue.complete(request).await }
        });
        completed.await.unwrap();
        assert_eq!(state_of(&mesh, id).await, InvocationState::Succeeded);
    }
}
