//! Who gets in, and when those come back who do not.

use std::time::Duration;

use holdfast_proto::gateway::v1 as gw;
use holdfast_proto::queue::v1 as pb;
use holdfast_rpc::lease::{LeaseKey, LeaseToken};
use holdfast_rpc::{client, id, status};
use pb::work_request::Message as Up;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request};

use crate::harness::{CALLER_KEY, Harness, KEY, KEYED, WORKER_KEY, run, spec, submit};
use crate::stand_in::Mode;

/// Tenant acme may call five times a second, three times at once; the operator's key, with which the harness begins, is
/// its own too.
const PACED: &str = "[tenants.acme]\nrate = 5.0\nburst = 3\n";

async fn submitted(harness: &Harness, key: &str) -> Result<(), tonic::Status> {
    harness.invocations(Some(key)).submit_invocation(submit(spec("mail", ""))).await.map(|_| ())
}

/// Calls until the tenant's tokens are spent, and gives the refusal.
async fn spent(harness: &Harness, key: &str) -> tonic::Status {
    loop {
        if let Err(refused) = submitted(harness, key).await {
            return refused;
        }
    }
}

#[tokio::test]
async fn a_tenant_past_its_rate_comes_back_when_it_was_told_and_another_is_not_slowed() {
    let harness = Harness::with(Mode::Accept, &format!("{PACED}{KEYED}")).await;
    let refused = spent(&harness, CALLER_KEY).await;
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(!status::may_have_happened(&refused), "nothing reached the queue");
    let wait = status::retry_after(&refused).expect("when to come back");
    assert!(wait <= Duration::from_millis(240), "a token comes every 200 ms: {wait:?}");
    for _ in 0..20 {
        submitted(&harness, WORKER_KEY).await.expect("another tenant has its own");
    }
    tokio::time::sleep(wait).await;
    submitted(&harness, CALLER_KEY).await.expect("as it was told");
}

#[tokio::test]
async fn a_tenant_past_its_rate_still_finishes_its_work() {
    let settings = format!("[tenants.umbrella]\nrate = 0.01\nburst = 1\n{KEYED}");
    let harness = Harness::with(Mode::Accept, &settings).await;
    spent(&harness, WORKER_KEY).await;
    let mut worker = harness.queue_through(Some(WORKER_KEY));
    // The stand-in has no such method; the call got there.
    let complete = worker.complete(pb::CompleteRequest::default()).await.expect_err("not in the stand-in");
    assert_eq!(complete.code(), Code::Unimplemented);
    let (upward, outbox) = tokio::sync::mpsc::channel(4);
    let mut downward = worker.work(ReceiverStream::new(outbox)).await.expect("a stream").into_inner();
    let beat = Up::Heartbeat(pb::HeartbeatRequest { tokens: vec!["token".into()] });
    upward.send(pb::WorkRequest { message: Some(beat) }).await.expect("the stream is open");
    downward.message().await.expect("no error").expect("an answer");
}

/// A lease that the mesh's queue could have signed.
fn lease(harness: &Harness, tenant: &str) -> String {
    let token = LeaseToken {
        tenant: tenant.into(),
        session: String::new(),
        invocation_id: id::new(),
        attempt: 1,
        lease_id: id::new(),
        fence: 1,
        agent: "mail".into(),
    };
    LeaseKey::load(&harness.common).expect("the mesh's key").sign(&token)
}

/// A read by work that shows this lease.
fn get(token: &str) -> Request<pb::GetInvocationRequest> {
    let ask = Request::new(pb::GetInvocationRequest { invocation_id: id::new() });
    client::with_lease(ask, token).expect("plain")
}

#[tokio::test]
async fn calls_under_a_lease_pass_the_rate_and_a_forged_lease_does_not_help() {
    let settings = format!("[tenants.umbrella]\nrate = 0.01\nburst = 1\n{KEYED}");
    let harness = Harness::with(Mode::Accept, &settings).await;
    spent(&harness, WORKER_KEY).await;
    let mut worker = harness.queue_through(Some(WORKER_KEY));
    worker.get_invocation(get(&lease(&harness, "umbrella"))).await.expect("work goes on");
    for token in [lease(&harness, "acme").as_str(), "forged.token"] {
        let refused = worker.get_invocation(get(token)).await.expect_err("it is no work of this tenant");
        assert_eq!(refused.code(), Code::ResourceExhausted);
    }
}

#[tokio::test]
async fn a_tenants_calls_in_hand_are_bounded_and_another_tenant_has_its_own() {
    let settings = format!("[tenants.acme]\nconcurrency = 2\n{KEYED}");
    let harness = Harness::with(Mode::Silent, &settings).await;
    let hanging: Vec<_> = (0..2)
        .map(|_| {
            let mut caller = harness.invocations(Some(CALLER_KEY));
            tokio::spawn(async move { caller.submit_invocation(submit(spec("mail", ""))).await })
        })
        .collect();
    harness.queue.came(2).await;
    let refused = submitted(&harness, KEY).await.expect_err("both keys are of one tenant");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(status::retry_after(&refused).is_some());
    harness.queue.set(Mode::Accept);
    submitted(&harness, WORKER_KEY).await.expect("another tenant has its own");
    hanging.iter().for_each(tokio::task::JoinHandle::abort);
    while let Err(refused) = submitted(&harness, CALLER_KEY).await {
        tokio::time::sleep(status::retry_after(&refused).expect("when to come back")).await;
    }
}

#[tokio::test]
async fn calls_under_a_lease_are_bounded_for_each_tenant_and_a_report_passes_where_they_have_taken_all() {
    let settings = KEYED.replace("agents = \"any\"\n", "agents = \"any\"\ntenant_leased_max = 2\n");
    let harness = Harness::with(Mode::Silent, &settings).await;
    let under = |key, tenant| {
        let (mut worker, token) = (harness.queue_through(Some(key)), lease(&harness, tenant));
        async move { worker.get_invocation(get(&token)).await }
    };
    let hanging: Vec<_> = (0..2).map(|_| tokio::spawn(under(WORKER_KEY, "umbrella"))).collect();
    harness.queue.came(2).await;
    let refused = under(WORKER_KEY, "umbrella").await.expect_err("both places are taken");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(status::retry_after(&refused).is_some());
    let report = harness.queue_through(Some(WORKER_KEY)).complete(pb::CompleteRequest::default()).await;
    assert_eq!(report.expect_err("not in the stand-in").code(), Code::Unimplemented, "it got there");
    harness.queue.set(Mode::Accept);
    under(KEY, "acme").await.expect("another tenant has its own");
    hanging.iter().for_each(tokio::task::JoinHandle::abort);
    while let Err(refused) = under(WORKER_KEY, "umbrella").await {
        tokio::time::sleep(status::retry_after(&refused).expect("when to come back")).await;
    }
}

#[tokio::test]
async fn one_tenants_workers_leave_room_for_anothers() {
    let settings = KEYED.replace("agents = \"any\"\n", "agents = \"any\"\nworkers_max = 2\n");
    let harness = Harness::with(Mode::Accept, &settings).await;
    let work = |key| {
        let mut worker = harness.queue_through(Some(key));
        async move {
            let (upward, outbox) = tokio::sync::mpsc::channel(1);
            worker.work(ReceiverStream::new(outbox)).await.map(|stream| (upward, stream))
        }
    };
    let first = work(WORKER_KEY).await.expect("half of them is one");
    let refused = work(WORKER_KEY).await.expect_err("that is taken");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(status::retry_after(&refused).is_some());
    let other = work(KEY).await.expect("another tenant's worker comes in");
    drop(first);
    while let Err(refused) = work(WORKER_KEY).await {
        tokio::time::sleep(status::retry_after(&refused).expect("when to come back")).await;
    }
    drop(other);
}

#[tokio::test]
async fn waiters_take_no_place_of_submitters() {
    let settings = "[gateway]\nwaiting_max = 2\ntenant_waiting_max = 2\ncalls_max = 10\n";
    let harness = Harness::with(Mode::AcceptOnly, settings).await;
    let mut caller = harness.invocations(None);
    let waiting = tokio::spawn(async move { caller.run_invocation(run(spec("mail", ""))).await });
    harness.queue.came(1).await;
    let watch = || gw::WatchInvocationRequest { invocation_id: id::new(), from_offset: 1 };
    let events = harness.invocations(None).watch_invocation(watch()).await.expect("a place to wait").into_inner();
    for _ in 0..3 {
        let refused = harness.invocations(None).watch_invocation(watch()).await.expect_err("both places are taken");
        assert_eq!(refused.code(), Code::ResourceExhausted);
        assert!(status::retry_after(&refused).is_some());
        harness.invocations(None).submit_invocation(submit(spec("mail", ""))).await.expect("there is room to submit");
    }
    drop(events);
    while harness.invocations(None).watch_invocation(watch()).await.is_err() {
        tokio::task::yield_now().await;
    }
    waiting.abort();
}

/// The status line of a plain HTTP request.
async fn asked(harness: &Harness, path: &str) -> String {
    let mut stream = TcpStream::connect(harness.url.trim_start_matches("http://")).await.expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an answer");
    String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_full_gateway_refuses_at_once_and_still_says_how_it_is() {
    let settings = "[gateway]\ncalls_max = 4\nwaiting_max = 1\ntenant_concurrency = 4\n";
    let harness = Harness::with(Mode::Silent, settings).await;
    let hanging: Vec<_> = (0..4)
        .map(|_| {
            let mut caller = harness.invocations(None);
            tokio::spawn(async move { caller.submit_invocation(submit(spec("mail", ""))).await })
        })
        .collect();
    harness.queue.came(4).await;
    for _ in 0..10 {
        let refused = harness.invocations(None).submit_invocation(submit(spec("mail", ""))).await;
        let refused = refused.expect_err("no place is left");
        assert_eq!(refused.code(), Code::ResourceExhausted);
        assert!(status::retry_after(&refused).is_some() && !status::may_have_happened(&refused));
    }
    for path in ["/healthz", "/metrics"] {
        assert!(asked(&harness, path).await.contains("200"), "{path}");
    }
    hanging.iter().for_each(tokio::task::JoinHandle::abort);
}
