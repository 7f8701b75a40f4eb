use holdfast_rpc::status;
use holdfast_testkit::Fault;
use tonic::Code;

use crate::harness::{Harness, spec, submit};
use crate::stand_in::Mode;

#[tokio::test]
async fn while_the_queue_is_gone_submissions_are_refused_with_a_retry_after_and_return_with_it() {
    let harness = Harness::start(Mode::Accept).await;
    harness.way.set(Fault::Refuse);
    let mut client = harness.invocations(None);
    for _ in 0..50 {
        let refused = client.submit_invocation(submit(spec("mail", "key"))).await.expect_err("the queue is gone");
        assert_eq!(refused.code(), Code::Unavailable);
        assert!(status::retry_after(&refused).is_some());
        assert!(!status::may_have_happened(&refused), "nothing was sent: {refused}");
    }
    assert!(harness.queue.submissions().is_empty(), "nothing is half-accepted");
    harness.way.set(Fault::None);
    harness.linked().await;
    client.submit_invocation(submit(spec("mail", "key"))).await.expect("it is back");
}

#[tokio::test]
async fn a_lost_answer_without_a_key_says_that_it_may_have_happened_and_is_not_sent_again() {
    let harness = Harness::start(Mode::Break).await;
    let refused = harness.invocations(None).submit_invocation(submit(spec("mail", ""))).await.expect_err("no answer");
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(status::may_have_happened(&refused) && status::retry_after(&refused).is_some());
    harness.queue.set(Mode::Accept);
    harness.linked().await;
    let came = harness.queue.submissions();
    let mails = came.iter().filter(|request| request.spec.as_ref().is_some_and(|spec| spec.agent == "mail"));
    assert_eq!(mails.count(), 1, "the link is new, and the call was not on it");
}

#[tokio::test]
async fn a_lost_answer_with_a_key_is_asked_for_again_and_is_one_invocation() {
    let harness = Harness::start(Mode::Break).await;
    let mut client = harness.invocations(None);
    let call = tokio::spawn(async move { client.submit_invocation(submit(spec("mail", "key"))).await });
    harness.queue.came(1).await;
    harness.queue.set(Mode::Accept);
    let answer = call.await.expect("no panic").expect("accepted by the second stream").into_inner();
    let came = harness.queue.submissions();
    assert!(came.len() >= 2 && came.iter().all(|request| request == &came[0]), "sent again, unchanged");
    let again = harness.invocations(None).submit_invocation(submit(spec("mail", "key"))).await.expect("there");
    assert_eq!(again.into_inner().invocation_id, answer.invocation_id);
}

#[tokio::test]
async fn a_queue_that_hangs_counts_as_gone() {
    let harness = Harness::with(Mode::Silent, "[gateway]\nanswer_within = \"200ms\"\nresend_within = \"0s\"\n").await;
    let refused = harness.invocations(None).submit_invocation(submit(spec("mail", ""))).await.expect_err("no answer");
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(status::may_have_happened(&refused));
}
