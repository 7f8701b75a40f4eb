use bytes::Bytes;
use futures::future::join_all;
use holdfast_proto::gateway::v1 as gw;
use holdfast_proto::queue::v1 as pb;
use holdfast_rpc::{id, status};
use tonic::Code;

use crate::harness::{Harness, spec, submit};
use crate::stand_in::Mode;

#[tokio::test]
async fn a_submission_reaches_the_queue_as_the_caller_wrote_it() {
    let harness = Harness::start(Mode::Accept).await;
    let mut asked = spec("mail", "key-1");
    asked.session = "s".into();
    asked.labels = [("team".to_owned(), "blue".to_owned())].into();
    let answer =
        harness.invocations(None).submit_invocation(submit(asked.clone())).await.expect("accepted").into_inner();

    assert!(answer.created && id::is_valid(&answer.invocation_id));
    let came = harness.queue.submissions();
    assert_eq!(came.len(), 1);
    assert_eq!((came[0].tenant.as_str(), came[0].spec.as_ref()), ("default", Some(&asked)));
    assert!(came[0].traceparent.starts_with("00-"), "the trace goes on: {:?}", came[0].traceparent);
}

#[tokio::test]
async fn a_traceparent_with_more_behind_it_goes_on_without() {
    let harness = Harness::start(Mode::Accept).await;
    let plain = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut request = tonic::Request::new(submit(spec("mail", "key")));
    request.metadata_mut().insert("traceparent", format!("{plain}-{}", "x".repeat(1_000)).parse().expect("ASCII"));
    harness.invocations(None).submit_invocation(request).await.expect("accepted");
    assert_eq!(harness.queue.submissions()[0].traceparent, plain);
}

#[tokio::test]
async fn the_same_key_is_the_same_invocation() {
    let harness = Harness::start(Mode::Accept).await;
    let mut client = harness.invocations(None);
    let first = client.submit_invocation(submit(spec("mail", "key"))).await.expect("accepted").into_inner();
    let second = client.submit_invocation(submit(spec("mail", "key"))).await.expect("accepted").into_inner();
    assert_eq!(first.invocation_id, second.invocation_id);
    assert!(first.created && !second.created);
}

#[tokio::test]
async fn many_callers_share_messages_and_each_gets_its_own_answer() {
    let harness = Harness::start(Mode::Accept).await;
    let client = harness.invocations(None);
    let calls = (0..200).map(|number| {
        let mut client = client.clone();
        async move {
            client.submit_invocation(submit(spec("mail", &number.to_string()))).await.expect("accepted").into_inner()
        }
    });
    let mut ids: Vec<_> = join_all(calls).await.into_iter().map(|answer| answer.invocation_id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 200);
    let messages = harness.queue.messages();
    assert!(messages < 200, "{messages} messages for 200 calls");
}

#[tokio::test]
async fn what_the_queue_refuses_is_refused_in_its_words() {
    let harness = Harness::start(Mode::Refuse).await;
    let refused = harness.invocations(None).submit_invocation(submit(spec("mail", "key"))).await.expect_err("refused");
    assert_eq!((refused.code(), status::id(&refused).as_deref()), (Code::AlreadyExists, Some("first-id")));
}

#[tokio::test]
async fn bad_input_is_refused_by_its_field_before_the_queue_is_asked() {
    let harness = Harness::start(Mode::Accept).await;
    let with = |data: Bytes| {
        let payload = pb::Payload { data, content_type: "application/json".into() };
        pb::InvocationSpec { payload: Some(payload), ..spec("mail", "") }
    };
    let large = |bytes: usize| with(Bytes::from(vec![b'1'; bytes]));
    for (asked, field) in [
        (spec("", ""), "spec.agent"),
        (spec("no such name", ""), "spec.agent"),
        (with(Bytes::from_static(b"{\"a\":")), "spec.payload.data"),
        (large((1 << 20) + 1), "spec.payload.data"),
        (large(8 << 20), "spec.payload.data"),
    ] {
        let mut client = harness.invocations(None);
        let refused = client.submit_invocation(submit(asked)).await.expect_err("it must be refused");
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        assert_eq!(status::field(&refused).as_deref(), Some(field), "{refused}");
        assert!(!status::may_have_happened(&refused));
    }
    assert!(harness.queue.submissions().is_empty());
}

#[tokio::test]
async fn a_typo_in_the_agents_name_is_told_with_the_names_that_exist() {
    let harness = Harness::with(Mode::Accept, "[gateway]\nextra_agents = [\"probe\", \"disputes\"]\n").await;
    let refused = harness.invocations(None).submit_invocation(submit(spec("dispute", ""))).await.expect_err("a typo");
    assert_eq!(refused.code(), Code::NotFound);
    for part in ["\"dispute\"", "disputes, probe", "extra_agents"] {
        assert!(refused.message().contains(part), "{refused}");
    }
    assert!(harness.queue.submissions().is_empty());
}

#[tokio::test]
async fn reads_and_cancels_are_asked_of_the_queue_for_the_callers_tenant() {
    let harness = Harness::start(Mode::Accept).await;
    let mut client = harness.invocations(None);
    let invocation_id = id::new();

    let got = client.get_invocation(gw::GetInvocationRequest { invocation_id: invocation_id.clone() }).await;
    assert_eq!(got.expect("there").into_inner().invocation.expect("one").id, invocation_id);
    assert_eq!(harness.queue.last_seen().tenant.as_deref(), Some("default"));

    let ask = gw::ListInvocationsRequest {
        agent: "mail".into(),
        session: "s".into(),
        page_size: 7,
        page_token: "t".into(),
        ..Default::default()
    };
    let page = client.list_invocations(ask).await.expect("a page").into_inner();
    let listed = page.invocations[0].spec.clone().expect("the stand-in's");
    assert_eq!((listed.session.as_str(), listed.labels["agent"].as_str()), ("s", "mail"));
    assert_eq!((page.invocations[0].attempt, page.next_page_token.as_str()), (7, "after t"));

    let ask = gw::CancelInvocationRequest { invocation_id: invocation_id.clone(), reason: "enough".into() };
    let cancelled = client.cancel_invocation(ask).await.expect("cancelled").into_inner().invocation.expect("one");
    assert_eq!((cancelled.id, cancelled.failure.expect("why").message), (invocation_id, "enough".to_owned()));
}

#[tokio::test]
async fn what_is_no_id_is_refused_and_what_is_unknown_is_not_found() {
    let harness = Harness::start(Mode::Refuse).await;
    let mut client = harness.invocations(None);
    for (invocation_id, code) in
        [("", Code::InvalidArgument), ("x", Code::InvalidArgument), (id::new().as_str(), Code::NotFound)]
    {
        let ask = gw::GetInvocationRequest { invocation_id: invocation_id.to_owned() };
        assert_eq!(client.get_invocation(ask).await.expect_err("refused").code(), code, "{invocation_id:?}");
    }
}

#[tokio::test]
async fn a_watcher_gets_events_from_its_offset_and_a_word_when_the_gateway_drains() {
    let harness = Harness::start(Mode::Accept).await;
    let ask = gw::WatchInvocationRequest { invocation_id: id::new(), from_offset: 5 };
    let mut events = harness.invocations(None).watch_invocation(ask).await.expect("a stream").into_inner();
    for offset in 5..8 {
        let event = events.message().await.expect("no error").expect("an event").event.expect("filled");
        assert_eq!(event.offset, offset);
    }
    harness.stop.cancel();
    let last = events.message().await.expect_err("the gateway drains");
    assert_eq!(last.code(), Code::Unavailable);
    assert!(status::retry_after(&last).is_some());
}

#[tokio::test]
async fn a_watcher_is_told_in_grpcs_words_when_the_queue_dies() {
    let harness = Harness::start(Mode::Accept).await;
    let ask = gw::WatchInvocationRequest { invocation_id: id::new(), from_offset: 1 };
    let mut events = harness.invocations(None).watch_invocation(ask).await.expect("a stream").into_inner();
    for _ in 0..3 {
        events.message().await.expect("no error yet").expect("an event");
    }
    harness.way.cut();
    let end = events.message().await.expect_err("the queue died");
    assert_eq!(end.code(), Code::Unavailable, "{end}");
    assert!(status::retry_after(&end).is_some());
}
