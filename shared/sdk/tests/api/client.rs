use std::{sync::atomic::Ordering, time::Duration};

use futures::future::join_all;
use holdfast_sdk::{Client, Error, invocation};
use serde_json::json;

use crate::standin::Mesh;
use crate::standin::gateway::{GOES_ON, PAST_THE_END, REDRIVEN};

fn spec() -> holdfast_sdk::proto::queue::v1::InvocationSpec {
    invocation("echo", &json!({})).expect("plain JSON")
}

#[tokio::test]
async fn a_submission_whose_answer_is_lost_is_repeated_under_the_same_key() {
    let mesh = Mesh::start().await;
    mesh.gateway.lose_answers.store(2, Ordering::SeqCst);
    let client = Client::connect(&mesh.url(), "").expect("well-formed");

    let accepted = client.submit(spec()).await.expect("the third try is answered");

    let keys = mesh.gateway.keys.lock().clone();
    assert_eq!(keys.len(), 3);
    assert!(keys.iter().all(|key| *key == accepted.invocation_id && !key.is_empty()), "{keys:?}");
}

#[tokio::test]
async fn a_redrive_whose_answer_is_lost_is_repeated_under_the_same_id() {
    let mesh = Mesh::start().await;
    mesh.gateway.lose_answers.store(2, Ordering::SeqCst);
    let client = Client::connect(&mesh.url(), "").expect("well-formed");
    let request = holdfast_sdk::proto::gateway::v1::RedriveInvocationsRequest {
        invocation_ids: vec!["dead".into()],
        ..Default::default()
    };
    let answer = client.redrive(request).await.expect("the third try is answered");
    assert_eq!(answer.invocation_ids, ["dead"]);
    let keys = mesh.gateway.keys.lock().clone();
    assert_eq!(keys.len(), 3);
    assert!(keys.iter().all(|key| *key == keys[0] && !key.is_empty()), "{keys:?}");
}

#[tokio::test]
async fn a_client_without_a_limit_calls_and_retries_like_any_other() {
    let mesh = Mesh::start().await;
    mesh.gateway.lose_answers.store(1, Ordering::SeqCst);
    let client = Client::connect(&mesh.url(), "").expect("well-formed").timeout(Duration::MAX);
    client.submit(spec()).await.expect("the second try is answered");
}

#[tokio::test]
async fn each_submission_mints_a_key_of_its_own() {
    let mesh = Mesh::start().await;
    let client = Client::connect(&mesh.url(), "").expect("well-formed");
    client.submit(spec()).await.expect("taken");
    client.submit(spec()).await.expect("taken");
    let keys = mesh.gateway.keys.lock().clone();
    assert_ne!(keys[0], keys[1]);
}

#[tokio::test]
async fn backpressure_is_waited_out_within_the_deadline() {
    let mesh = Mesh::start().await;
    mesh.gateway.refuse.store(3, Ordering::SeqCst);
    mesh.gateway.retry_after_ms.store(20, Ordering::SeqCst);
    let client = Client::connect(&mesh.url(), "").expect("well-formed");
    client.submit(spec()).await.expect("there is room after a while");
    assert_eq!(mesh.gateway.keys.lock().len(), 4);
}

#[tokio::test]
async fn a_wait_that_would_outlast_the_deadline_is_not_begun() {
    let mesh = Mesh::start().await;
    mesh.gateway.refuse.store(u32::MAX, Ordering::SeqCst);
    mesh.gateway.retry_after_ms.store(60_000, Ordering::SeqCst);
    let client = Client::connect(&mesh.url(), "").expect("well-formed").timeout(Duration::from_secs(30));
    let refused = client.submit(spec()).await.expect_err("no room in time");
    assert!(matches!(refused, Error::Busy { retry_after: Some(_), .. }), "{refused:?}");
    assert_eq!(mesh.gateway.keys.lock().len(), 1);
}

#[tokio::test]
async fn retries_without_a_hint_are_on_a_budget() {
    let mesh = Mesh::start().await;
    mesh.gateway.lose_answers.store(u32::MAX, Ordering::SeqCst);
    let client = Client::connect(&mesh.url(), "").expect("well-formed").timeout(Duration::from_millis(400));
    for _ in 0..40 {
        let failed = client.submit(spec()).await.expect_err("nothing is ever answered");
        assert!(failed.may_have_happened());
    }
    let requests = mesh.gateway.keys.lock().len();
    // Ten retries are there at first, and each ten calls earn one more.
    assert!(requests <= 40 + 10 + 4, "{requests} requests for 40 calls");
}

#[tokio::test]
async fn a_mesh_that_fails_and_says_when_to_come_back_is_asked_on_a_budget_too() {
    let mesh = Mesh::start().await;
    mesh.gateway.refuse.store(u32::MAX, Ordering::SeqCst);
    mesh.gateway.away.store(true, Ordering::SeqCst);
    mesh.gateway.retry_after_ms.store(1, Ordering::SeqCst);
    let client = Client::connect(&mesh.url(), "").expect("well-formed");
    for failed in join_all((0..200).map(|_| client.submit(spec()))).await {
        assert!(matches!(failed, Err(Error::Unavailable { retry_after: Some(_), .. })), "{failed:?}");
    }
    let requests = mesh.gateway.keys.lock().len();
    // A tenth of the calls, and the ten that are there at first.
    assert!(requests <= 200 + 20 + 10, "{requests} requests for 200 calls");
}

#[tokio::test]
async fn what_is_full_is_no_failure_and_costs_no_budget() {
    let mesh = Mesh::start().await;
    mesh.gateway.refuse.store(60, Ordering::SeqCst);
    mesh.gateway.retry_after_ms.store(1, Ordering::SeqCst);
    let client = Client::connect(&mesh.url(), "").expect("well-formed");
    client.submit(spec()).await.expect("there is room after sixty refusals");
    assert_eq!(mesh.gateway.keys.lock().len(), 61);
}

#[tokio::test]
async fn what_is_full_did_nothing_unless_it_says_so_or_an_earlier_try_broke() {
    let mesh = Mesh::start().await;
    mesh.gateway.refuse.store(u32::MAX, Ordering::SeqCst);
    mesh.gateway.retry_after_ms.store(60_000, Ordering::SeqCst);
    let client = Client::connect(&mesh.url(), "").expect("well-formed").timeout(Duration::from_secs(30));
    let happened = async || match client.submit(spec()).await {
        Err(error @ Error::Busy { .. }) => error.may_have_happened(),
        other => panic!("no room in time: {other:?}"),
    };
    assert!(!happened().await, "it was refused at the door");

    mesh.gateway.lose_answers.store(1, Ordering::SeqCst);
    assert!(happened().await, "the first try may have been taken");

    mesh.gateway.refuse_answers.store(true, Ordering::SeqCst);
    assert!(happened().await, "it was the answer that was refused");
}

#[tokio::test]
async fn a_wait_that_ends_names_the_invocation_although_the_last_try_could_not() {
    let mesh = Mesh::start().await;
    mesh.gateway.drains.store(1, Ordering::SeqCst);
    mesh.gateway.refuse.store(1, Ordering::SeqCst);
    mesh.gateway.retry_after_ms.store(60_000, Ordering::SeqCst);
    let client = Client::connect(&mesh.url(), "").expect("well-formed").timeout(Duration::from_secs(30));
    let ended = client.run(spec()).await.expect_err("the wait ends");
    assert_eq!((ended.reason(), ended.invocation_id()), ("UNAVAILABLE", Some(GOES_ON)));
    assert_eq!(mesh.gateway.refuse.load(Ordering::SeqCst), 0, "it was tried twice");
}

#[tokio::test]
async fn a_gateway_that_refuses_connections_is_left_for_the_next() {
    let (gone, mesh) = (Mesh::start().await, Mesh::start().await);
    gone.kill().await;
    let both = format!("{}, {}", gone.url(), mesh.url());
    let client = Client::connect(&both, "").expect("well-formed").timeout(Duration::from_secs(5));
    client.submit(spec()).await.expect("the second address answers");
    client.submit(spec()).await.expect("and is used from then on");
    assert_eq!(mesh.gateway.keys.lock().len(), 2);
}

#[tokio::test]
async fn the_key_is_shown_and_never_printed() {
    let mesh = Mesh::start().await;
    let client = Client::connect(&mesh.url(), "s3cret").expect("well-formed");
    client.submit(spec()).await.expect("taken");
    assert_eq!(*mesh.gateway.shown.lock(), [Some("Bearer s3cret".to_owned())]);
    let endpoints = holdfast_sdk::Endpoints::gateway(mesh.url()).api_key("s3cret");
    assert!(!format!("{endpoints:?}").contains("s3cret"));
}

#[tokio::test]
async fn a_watcher_misses_nothing_and_sees_nothing_twice_over_a_broken_stream() {
    let mesh = Mesh::start().await;
    let client = Client::connect(&mesh.url(), "").expect("well-formed");
    let mut events = client.watch("some-invocation", 0);
    let mut offsets = Vec::new();
    while let Some(event) = events.next().await.expect("it goes on elsewhere") {
        offsets.push(event.offset);
    }
    assert_eq!(offsets, [1, 2, 3]);
    assert_eq!(*mesh.gateway.watched_from.lock(), [0, 3]);
}

#[tokio::test]
async fn however_many_watchers_one_client_has_all_go_on_after_an_outage() {
    let mesh = Mesh::start().await;
    mesh.gateway.refuse_watchers.store(3 * 40, Ordering::SeqCst);
    let client = Client::connect(&mesh.url(), "").expect("well-formed");
    let watch = async || {
        let mut events = client.watch("some-invocation", 0);
        let mut offsets = Vec::new();
        while let Some(event) = events.next().await.expect("it goes on elsewhere") {
            offsets.push(event.offset);
        }
        assert_eq!(offsets, [1, 2, 3]);
    };
    join_all((0..40).map(|_| watch())).await;
    assert_eq!(mesh.gateway.refuse_watchers.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_watcher_goes_on_over_the_end_of_what_was_redriven() {
    let mesh = Mesh::start().await;
    let client = Client::connect(&mesh.url(), "").expect("well-formed");
    let mut events = client.watch("redriven", REDRIVEN);
    let mut offsets = Vec::new();
    while let Some(event) = events.next().await.expect("it is there") {
        offsets.push(event.offset);
    }
    assert_eq!(offsets, [REDRIVEN, REDRIVEN + 1, REDRIVEN + 2]);
}

#[tokio::test]
async fn a_watcher_that_begins_after_the_last_event_is_done() {
    let mesh = Mesh::start().await;
    let client = Client::connect(&mesh.url(), "").expect("well-formed");
    assert!(client.watch("ended", PAST_THE_END).next().await.expect("it is there").is_none());
    assert_eq!(mesh.gateway.watched_from.lock().len(), 1, "asking again would not show more");
}

#[tokio::test]
async fn what_cannot_be_mended_is_told_at_once() {
    let mesh = Mesh::start().await;
    let client = Client::connect(&mesh.url(), "").expect("well-formed");
    assert!(matches!(client.get("nothing").await, Err(Error::NotFound(_))));
    let ended = client.cancel("ended", "why").await.expect_err("it has ended");
    assert!(matches!(&ended, Error::Precondition { reason, .. } if reason == "ALREADY_ENDED"), "{ended:?}");
    assert!(matches!(Client::connect("nowhere", ""), Err(Error::Invalid(_))));
}
