use holdfast_proto::queue::v1::{
    EnqueueRequest, InvocationSpec, InvocationState, ListDepthsRequest, ListInvocationsRequest,
};
use holdfast_rpc::status;
use tonic::Code;

use crate::harness::{Harness, as_tenant, payload, spec};

#[tokio::test]
async fn an_accepted_invocation_is_there() {
    let queue = Harness::start().await;
    let asked = InvocationSpec {
        labels: [("team".to_owned(), "risk".to_owned())].into(),
        priority: 7,
        payload: Some(payload("{\"n\":1}")),
        ..spec()
    };
    let id = queue.enqueue(asked).await;
    let found = queue.get(&id).await;
    assert_eq!((found.state(), found.tenant.as_str()), (InvocationState::Queued, "default"));
    let held = found.spec.unwrap();
    assert_eq!(held.payload.unwrap(), payload("{\"n\":1}"));
    assert_eq!((held.priority, held.labels["team"].as_str()), (7, "risk"));
    assert!(found.created_at.is_some());
}

#[tokio::test]
async fn the_same_key_and_payload_is_the_same_invocation() {
    let queue = Harness::start().await;
    let keyed = InvocationSpec { idempotency_key: "k-1".into(), ..spec() };
    let (first, created) = queue.try_enqueue(keyed.clone()).await.unwrap();
    assert!(created);
    assert_eq!(queue.try_enqueue(keyed.clone()).await.unwrap(), (first.clone(), false));

    let other = InvocationSpec { payload: Some(payload("{\"other\":true}")), ..keyed.clone() };
    let refused = queue.try_enqueue(other).await.unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists);
    assert_eq!(status::id(&refused), Some(first.clone()));

    let another_agent = InvocationSpec { agent: "sms".into(), ..keyed };
    let (second, created) = queue.try_enqueue(another_agent).await.unwrap();
    assert!(created && second != first, "a key is scoped to its agent");
}

#[tokio::test]
async fn a_hundred_repeats_at_once_make_one_invocation() {
    let queue = Harness::start().await;
    let keyed = InvocationSpec { idempotency_key: "k-1".into(), ..spec() };
    let answers = futures::future::join_all((0..100).map(|_| queue.try_enqueue(keyed.clone()))).await;
    let answers: Vec<(String, bool)> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.iter().filter(|(_, created)| *created).count(), 1);
    assert!(answers.iter().all(|(id, _)| *id == answers[0].0));
}

#[tokio::test]
async fn bad_input_is_refused_by_the_name_of_its_field() {
    let queue = Harness::with("payload_max = \"1KiB\"\nlabels_max = 1").await;
    let long = "x".repeat(2_000);
    let cases = [
        ("spec.agent", InvocationSpec { agent: String::new(), ..spec() }),
        ("spec.agent", InvocationSpec { agent: long.clone(), ..spec() }),
        ("spec.agent", InvocationSpec { agent: "a\nb".into(), ..spec() }),
        ("spec.payload", InvocationSpec { payload: Some(payload(&long)), ..spec() }),
        ("spec.session", InvocationSpec { session: long.clone(), ..spec() }),
        ("spec.idempotency_key", InvocationSpec { idempotency_key: long, ..spec() }),
        ("spec.priority", InvocationSpec { priority: 101, ..spec() }),
        ("spec.parent_id", InvocationSpec { parent_id: "not-an-id".into(), ..spec() }),
        (
            "spec.labels",
            InvocationSpec {
                labels: [("a".to_owned(), String::new()), ("b".to_owned(), String::new())].into(),
                ..spec()
            },
        ),
        (
            "spec.deadline",
            InvocationSpec { deadline: Some(prost_types::Timestamp { seconds: 1, nanos: -1 }), ..spec() },
        ),
        (
            "spec.retry_policy.max_attempts",
            InvocationSpec {
                retry_policy: Some(holdfast_proto::queue::v1::RetryPolicy {
                    max_attempts: 1_000,
                    ..Default::default()
                }),
                ..spec()
            },
        ),
    ];
    for (field, bad) in cases {
        let refused = queue.try_enqueue(bad).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{field}");
        assert_eq!(status::field(&refused).as_deref(), Some(field));
        assert!(!status::may_have_happened(&refused));
    }
}

#[tokio::test]
async fn a_full_queue_refuses_with_a_time_to_come_back_and_takes_again_when_there_is_room() {
    let queue = Harness::with("depth_max = 2").await;
    let keyed = InvocationSpec { idempotency_key: "k-1".into(), ..spec() };
    let first = queue.enqueue(keyed.clone()).await;
    queue.enqueue(spec()).await;
    let refused = queue.try_enqueue(spec()).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(status::retry_after(&refused).is_some());
    assert_eq!(queue.try_enqueue(keyed).await.unwrap(), (first, false), "a repeat needs no room");
    assert_eq!(queue.lease_now(1).await.len(), 1);
    queue.enqueue(spec()).await;
}

#[tokio::test]
async fn a_refusal_names_the_limit_that_was_met_and_another_tenant_gets_in() {
    let queue = Harness::with("depth_max = 10\nagent_depth_max = 5\n[tenants.own]\ndepth_max = 1").await;
    let mut client = queue.client();
    let mut submit = async |tenant: &str, agent: &str| {
        let spec = InvocationSpec { agent: agent.into(), ..spec() };
        client.enqueue(as_tenant(EnqueueRequest { spec: Some(spec), ..Default::default() }, tenant)).await
    };
    for (tenant, agent, room, limit) in
        [("own", "mail", 1, "queue.tenant_depth_max"), ("flood", "mail", 3, "queue.agent_depth_max")]
    {
        for _ in 0..room {
            submit(tenant, agent).await.unwrap();
        }
        let refused = submit(tenant, agent).await.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted);
        assert!(status::retry_after(&refused).is_some());
        assert!(refused.message().contains(limit), "{refused:?}");
    }
    submit("small", "mail").await.expect("past the soft mark it holds less than its share");
    submit("flood", "other").await.expect("another agent type has room of its own");
}

#[tokio::test]
async fn a_limit_of_bytes_holds_too() {
    let queue = Harness::with("depth_bytes_max = \"2KiB\"\npayload_max = \"2KiB\"").await;
    let large = InvocationSpec { payload: Some(payload(&"x".repeat(1_500))), ..spec() };
    queue.enqueue(large.clone()).await;
    assert_eq!(queue.try_enqueue(large).await.unwrap_err().code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn lists_are_paged_newest_first_and_filtered() {
    let queue = Harness::start().await;
    let mut ids = Vec::new();
    for n in 0..5 {
        let session = if n % 2 == 0 { "even" } else { "" };
        ids.push(queue.enqueue(InvocationSpec { session: session.into(), ..spec() }).await);
    }
    ids.reverse();
    let mut client = queue.client();
    let mut seen = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListInvocationsRequest { page_size: 2, page_token, ..Default::default() };
        let page = client.list_invocations(request).await.unwrap().into_inner();
        assert!(page.invocations.len() <= 2);
        assert!(page.invocations.iter().all(|listed| listed.spec.as_ref().unwrap().payload.is_none()));
        seen.extend(page.invocations.into_iter().map(|listed| listed.id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, ids);

    let leased = queue.lease_now(1).await;
    let by = |request: ListInvocationsRequest| {
        let mut client = client.clone();
        async move { client.list_invocations(request).await.unwrap().into_inner().invocations.len() }
    };
    assert_eq!(leased.len(), 1);
    let states = vec![InvocationState::Leased.into()];
    assert_eq!(by(ListInvocationsRequest { states, ..Default::default() }).await, 1);
    assert_eq!(by(ListInvocationsRequest { session: "even".into(), ..Default::default() }).await, 3);
    assert_eq!(by(ListInvocationsRequest { agent: "nobody".into(), ..Default::default() }).await, 0);
}

#[tokio::test]
async fn depths_are_told_by_agent_type() {
    let queue = Harness::start().await;
    for _ in 0..3 {
        queue.enqueue(spec()).await;
    }
    queue.lease_now(1).await;
    let depths = queue.client().list_depths(ListDepthsRequest {}).await.unwrap().into_inner().depths;
    assert_eq!(depths.len(), 1);
    assert_eq!((depths[0].agent.as_str(), depths[0].queued, depths[0].leased), ("mail", 2, 1));
    assert!(depths[0].oldest_age.is_some());
}
