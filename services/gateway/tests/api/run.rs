use std::time::Duration;

use holdfast_rpc::status;
use holdfast_testkit::Fault;
use tonic::{Code, Request};

use crate::harness::{Harness, run, spec, submit};
use crate::stand_in::Mode;

fn within(timeout: Duration) -> Request<holdfast_proto::gateway::v1::RunInvocationRequest> {
    let mut request = Request::new(run(spec("mail", "")));
    request.set_timeout(timeout);
    request
}

fn named(refused: &tonic::Status) -> Option<String> {
    refused.metadata().get("holdfast-invocation-id").map(|id| id.to_str().expect("an id").to_owned())
}

#[tokio::test]
async fn a_run_answers_with_the_end() {
    let harness = Harness::start(Mode::Accept).await;
    let ended = harness.invocations(None).run_invocation(run(spec("mail", ""))).await.expect("ended").into_inner();
    assert!(ended.invocation.is_some_and(|invocation| !invocation.id.is_empty()));
}

#[tokio::test]
async fn the_deadline_ends_the_wait_and_names_the_invocation_that_goes_on() {
    let harness = Harness::start(Mode::AcceptOnly).await;
    let timed_out = harness.invocations(None).run_invocation(within(Duration::from_millis(500))).await;
    let timed_out = timed_out.expect_err("it never ends");
    assert_eq!(timed_out.code(), Code::DeadlineExceeded);
    assert!(status::may_have_happened(&timed_out));
    let id = named(&timed_out).expect("the invocation is named");
    assert_eq!(status::id(&timed_out), Some(id));
    // The queue is told that nobody waits any more.
    harness.queue.forgotten(1).await;
}

#[tokio::test]
async fn a_deadline_before_the_queue_answers_says_that_it_may_have_happened() {
    let harness = Harness::start(Mode::Silent).await;
    let timed_out = harness.invocations(None).run_invocation(within(Duration::from_millis(300))).await;
    let timed_out = timed_out.expect_err("no answer");
    assert_eq!(timed_out.code(), Code::DeadlineExceeded);
    assert!(status::may_have_happened(&timed_out));
    assert_eq!(named(&timed_out), None);
}

#[tokio::test]
async fn a_caller_that_hangs_up_is_forgotten() {
    let harness = Harness::start(Mode::AcceptOnly).await;
    let mut client = harness.invocations(None);
    let call = tokio::spawn(async move { client.run_invocation(run(spec("mail", ""))).await });
    harness.queue.came(1).await;
    call.abort();
    harness.queue.forgotten(1).await;
}

#[tokio::test]
async fn waiting_calls_are_bounded() {
    let harness =
        Harness::with(Mode::AcceptOnly, "[gateway]\nwaiting_max = 2\ntenant_waiting_max = 2\ncalls_max = 10\n").await;
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let mut client = harness.invocations(None);
            tokio::spawn(async move { client.run_invocation(run(spec("mail", ""))).await })
        })
        .collect();
    harness.queue.came(2).await;
    let refused = harness.invocations(None).run_invocation(run(spec("mail", ""))).await.expect_err("one too many");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(status::retry_after(&refused).is_some() && !status::may_have_happened(&refused));
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
    harness.queue.forgotten(2).await;
    harness.queue.set(Mode::Accept);
    harness.invocations(None).run_invocation(run(spec("mail", ""))).await.expect("there is room again");
}

#[tokio::test]
async fn a_wait_survives_the_loss_of_the_queue() {
    let harness = Harness::start(Mode::AcceptOnly).await;
    let mut client = harness.invocations(None);
    let call = tokio::spawn(async move { client.run_invocation(run(spec("mail", ""))).await });
    harness.queue.came(1).await;
    // Answers keep their order: once this one is here, the run is known to be accepted.
    harness.invocations(None).submit_invocation(submit(spec("mail", ""))).await.expect("accepted");
    harness.way.set(Fault::Refuse);
    harness.queue.set(Mode::Accept);
    harness.way.set(Fault::None);
    let ended = call.await.expect("no panic").expect("the end, from the queue that came back").into_inner();
    assert!(ended.invocation.is_some());
    assert_eq!(harness.queue.submissions().len(), 2, "each was submitted once; the run was waited for twice");
}

#[tokio::test]
async fn a_drain_ends_waits_with_the_invocations_name_and_lets_the_gateway_go() {
    let harness = Harness::start(Mode::AcceptOnly).await;
    let mut client = harness.invocations(None);
    let call = tokio::spawn(async move { client.run_invocation(run(spec("mail", ""))).await });
    harness.queue.came(1).await;
    harness.drained().await;
    let refused = call.await.expect("no panic").expect_err("the gateway went");
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(status::may_have_happened(&refused) && status::retry_after(&refused).is_some());
}
