//! The gateway before the real queue: an invocation from a caller through a worker and back.

use std::time::Duration;

use holdfast_config::{Common, Document, Peer};
use holdfast_proto::gateway::v1 as gw;
use holdfast_proto::queue::v1 as pb;
use holdfast_proto::queue::v1::queue_service_client::QueueServiceClient;
use holdfast_rpc::Channel;
use holdfast_rpc::service::{Host, Settings as _, Stop};
use tokio::task::JoinHandle;
use tonic::Code;

use crate::harness::{CALLER_KEY, Harness, KEY, KEYED, WORKER_KEY, run, spec, submit};

/// A queue on a directory of its own.
struct RealQueue {
    stop: Stop,
    served: JoinHandle<()>,
}

impl RealQueue {
    async fn start(common: &Common, address: &str) -> (Self, String) {
        let document = Document::parse("t.toml", "", []).expect("it is TOML");
        let config = holdfast_queue::Config::from_document(&document).expect("defaults hold");
        let host = Host::bind(Peer::Queue.name(), address, common).await.expect("the port is free");
        let (address, stop) = (host.address().to_string(), host.stop());
        let common = common.clone();
        let served = tokio::spawn(async move {
            holdfast_queue::serve(common, config, host).await.expect("the queue serves");
        });
        (Self { stop, served }, address)
    }

    async fn end(self) {
        self.stop.cancel();
        self.served.await.expect("it ends by itself");
    }
}

async fn leased(queue: &mut QueueServiceClient<Channel>, agent: &str) -> pb::Lease {
    let ask = pb::LeaseRequest {
        worker: "hand-1".into(),
        agents: vec![agent.into()],
        max_leases: 1,
        wait: Some(prost_types::Duration { seconds: 10, nanos: 0 }),
    };
    let leases = queue.lease(ask).await.expect("a lease is asked for").into_inner().leases;
    leases.into_iter().next().expect("one invocation is ready")
}

fn result(text: &'static str) -> Option<pb::Payload> {
    Some(pb::Payload { data: text.into(), content_type: String::new() })
}

async fn complete(queue: &mut QueueServiceClient<Channel>, lease: &pb::Lease) {
    let done = pb::CompleteRequest { token: lease.token.clone(), result: result(r#"{"ok":true}"#), usage: None };
    queue.complete(done).await.expect("the lease counts");
}

#[tokio::test]
async fn a_run_is_answered_by_the_worker_that_leased_it_through_the_same_door() {
    let (harness, _queue) = started("").await;
    let mut caller = harness.invocations(None);
    let call = tokio::spawn(async move { caller.run_invocation(run(spec("mail", ""))).await });
    let mut worker = harness.queue_through(None);
    let lease = leased(&mut worker, "mail").await;
    assert!(lease.traceparent.starts_with("00-"), "the trace goes on");
    complete(&mut worker, &lease).await;
    let ended = call.await.expect("no panic").expect("the end").into_inner().invocation.expect("it is there");
    assert_eq!(ended.state(), pb::InvocationState::Succeeded);
    assert_eq!(ended.result, result(r#"{"ok":true}"#));

    let ask = gw::WatchInvocationRequest { invocation_id: ended.id.clone(), from_offset: 0 };
    let mut events = harness.invocations(None).watch_invocation(ask).await.expect("a stream").into_inner();
    let mut offsets = Vec::new();
    while let Some(event) = events.message().await.expect("no error") {
        offsets.push(event.event.expect("filled").offset);
    }
    assert_eq!(offsets, [1, 2, 3], "queued, leased, succeeded, and then the end of the stream");
}

#[tokio::test]
async fn a_wait_outlives_a_restart_of_the_queue() {
    let (harness, queue) = started("").await;
    let mut caller = harness.invocations(None);
    let call = tokio::spawn(async move { caller.run_invocation(run(spec("mail", "key"))).await });
    let lease = leased(&mut harness.queue_through(None), "mail").await;
    queue.end().await;
    let (_queue, _) = RealQueue::start(&harness.common, harness.behind()).await;
    harness.linked().await;
    // What was leased before goes on after: the lease gets its full time again.
    complete(&mut harness.queue_through(None), &lease).await;
    let ended = call.await.expect("no panic").expect("the end").into_inner().invocation.expect("it is there");
    assert_eq!(ended.id, lease.invocation.expect("filled").id);
}

#[tokio::test]
async fn tenants_do_not_see_each_other() {
    let (harness, _queue) = started(KEYED).await;
    let accepted = harness.invocations(Some(CALLER_KEY)).submit_invocation(submit(spec("mail", "key"))).await;
    let invocation_id = accepted.expect("accepted").into_inner().invocation_id;
    let get = || gw::GetInvocationRequest { invocation_id: invocation_id.clone() };
    harness.invocations(Some(KEY)).get_invocation(get()).await.expect("the same tenant sees it");

    // The worker is another tenant's: it finds nothing to read, to cancel or to do, and its own key is its own.
    let mut other = harness.invocations(Some(WORKER_KEY));
    assert_eq!(other.get_invocation(get()).await.expect_err("not its own").code(), Code::NotFound);
    let cancel = gw::CancelInvocationRequest { invocation_id: invocation_id.clone(), reason: String::new() };
    assert_eq!(other.cancel_invocation(cancel).await.expect_err("not its own").code(), Code::NotFound);
    let page = other.list_invocations(gw::ListInvocationsRequest::default()).await.expect("a page").into_inner();
    assert!(page.invocations.is_empty());
    let ask = pb::LeaseRequest {
        worker: "hand-1".into(),
        agents: vec!["mail".into()],
        max_leases: 1,
        wait: Some(holdfast_rpc::time::duration(Duration::from_millis(200))),
    };
    let leases = harness.queue_through(Some(WORKER_KEY)).lease(ask).await.expect("an answer").into_inner().leases;
    assert!(leases.is_empty(), "{leases:?}");
    let accepted = other.submit_invocation(submit(spec("mail", "key"))).await.expect("accepted").into_inner();
    assert!(accepted.created && accepted.invocation_id != invocation_id);
}

/// A gateway before the real queue.
async fn started(settings: &str) -> (Harness, RealQueue) {
    let (common, directory) = Harness::common();
    let (queue, address) = RealQueue::start(&common, "127.0.0.1:0").await;
    (Harness::before(&address, common, directory, settings).await, queue)
}
