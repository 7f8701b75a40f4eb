//! Redrives through the gateway.

use holdfast_proto::gateway::v1 as gw;
use holdfast_proto::queue::v1::redrive_invocations_request::Filter;
use holdfast_rpc::id;

use crate::harness::Harness;
use crate::stand_in::Mode;

#[tokio::test]
async fn a_redrive_is_asked_of_the_queue_for_the_callers_tenant_and_its_answer_comes_back_whole() {
    let harness = Harness::start(Mode::Accept).await;
    let mut client = harness.invocations(None);
    let named = gw::RedriveInvocationsRequest { invocation_ids: vec![id::new(), id::new()], ..Default::default() };
    let answer = client.redrive_invocations(named.clone()).await.expect("an answer").into_inner();
    assert_eq!(answer.invocation_ids, named.invocation_ids);
    assert_eq!(harness.queue.last_seen().tenant.as_deref(), Some("default"));

    let like = gw::RedriveInvocationsRequest {
        redrive_id: id::new(),
        filter: Some(Filter { agent: "mail".into(), ..Default::default() }),
        limit: 7,
        page_token: "t".into(),
        ..Default::default()
    };
    let answer = client.redrive_invocations(like.clone()).await.expect("an answer").into_inner();
    let refusal = &answer.refusals[0];
    assert_eq!((&refusal.invocation_id, refusal.reason.as_str()), (&like.redrive_id, "mail"));
    assert_eq!((refusal.message.as_str(), answer.next_page_token.as_str()), ("7", "after t"));
}
