use holdfast_proto::state::v1 as pb;
use holdfast_rpc::status;
use holdfast_state::Config;

use crate::harness::*;

#[tokio::test]
async fn a_repeat_gets_its_first_answer_though_overwritten_since() {
    let state = Harness::start().await;
    let first = state.make("k", "1").await;
    let write = with_id(put("k", "2", Some(&first)), 2);
    let answer = state.put(write.clone()).await.unwrap();
    assert_eq!(state.put(write.clone()).await.unwrap(), answer);
    let mut at = answer.version.clone();
    for n in 3..10 {
        at = state.put(put("k", &n.to_string(), Some(&at))).await.unwrap().version;
    }
    assert_eq!(state.put(write.clone()).await.unwrap(), answer);
    let state = state.restart().await;
    assert_eq!(state.put(write).await.unwrap(), answer, "the history survives");
    assert_eq!(data(&state.get("k").await.unwrap()), "9", "nothing was applied twice");
}

#[tokio::test]
async fn a_repeated_creation_is_known_though_deleted_since() {
    let state = Harness::start().await;
    let create = with_id(put("k", "1", None), 1);
    let answer = state.put(create.clone()).await.unwrap();
    let delete = pb::DeleteRequest {
        address: Some(address("k")),
        precondition: version(&answer.version),
        write_id: uuid::Uuid::from_u128(2).to_string(),
        ..pb::DeleteRequest::default()
    };
    state.delete(delete.clone()).await.unwrap();
    assert_eq!(state.put(create.clone()).await.unwrap(), answer, "not made again");
    state.delete(delete.clone()).await.expect("the repeat of a delete is answered as the first");
    assert_eq!(state.get("k").await.unwrap_err().code(), tonic::Code::NotFound);
    state.put(with_id(put("k", "3", None), 3)).await.unwrap();
    assert_eq!(state.put(create).await.unwrap(), answer);
    state.delete(delete).await.unwrap();
    assert_eq!(data(&state.get("k").await.unwrap()), "3");
}

#[tokio::test]
async fn a_repeated_blind_overwrite_is_applied_once() {
    let state = Harness::start().await;
    let write = pb::PutRequest { precondition: overwrite(), ..with_id(put("k", "1", None), 1) };
    let answer = state.put(write.clone()).await.unwrap();
    let other = pb::PutRequest { precondition: overwrite(), ..with_id(put("k", "2", None), 2) };
    let second = state.put(other).await.unwrap();
    assert_eq!((answer.revision, second.revision), (1, 2));
    assert_eq!(state.put(write).await.unwrap(), answer);
    assert_eq!(data(&state.get("k").await.unwrap()), "2");

    let copies = (0..16).map(|_| {
        let write = pb::PutRequest { precondition: overwrite(), ..with_id(put("k", "3", None), 3) };
        state.put(write)
    });
    let answers = futures::future::try_join_all(copies).await.unwrap();
    assert!(answers.iter().all(|answer| answer.revision == 3), "copies at once count as one");
}

#[tokio::test]
async fn copies_that_arrive_together_count_as_one() {
    let state = Harness::start().await;
    let first = state.make("k", "1").await;
    let copies = (0..16).map(|_| state.put(with_id(put("k", "2", Some(&first)), 7)));
    let answers = futures::future::try_join_all(copies).await.unwrap();
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(state.get("k").await.unwrap().revision, 2);
}

#[tokio::test]
async fn a_repeated_batch_gets_its_first_answer() {
    let state = Harness::start().await;
    let first = state.make("a", "1").await;
    let batch = pb::BatchPutRequest {
        namespace: "accounts".into(),
        partition: "C-1".into(),
        writes: vec![
            pb::batch_put_request::Write {
                key: "a".into(),
                precondition: version(&first),
                value: Some(value("2")),
                ttl: None,
            },
            pb::batch_put_request::Write { key: "b".into(), precondition: None, value: Some(value("2")), ttl: None },
            pb::batch_put_request::Write {
                key: "c".into(),
                precondition: overwrite(),
                value: Some(value("2")),
                ttl: None,
            },
        ],
        write_id: uuid::Uuid::from_u128(5).to_string(),
        durability: 0,
        lock: None,
    };
    let answer = state.batch(batch.clone()).await.unwrap();
    assert_eq!(state.batch(batch.clone()).await.unwrap(), answer);
    for written in &answer.written {
        state.put(put(&written.key, "3", Some(&written.version))).await.unwrap();
    }
    assert_eq!(state.batch(batch).await.unwrap(), answer);
    assert_eq!(data(&state.get("c").await.unwrap()), "3");
}

#[tokio::test]
async fn beyond_the_history_a_repeat_may_have_happened() {
    let mut config = Config::default();
    config.keep.editions = 2;
    let state = Harness::with(config).await;
    let first = state.make("k", "1").await;
    let write = with_id(put("k", "2", Some(&first)), 2);
    let mut at = state.put(write.clone()).await.unwrap().version;
    for n in 3..8 {
        at = state.put(put("k", &n.to_string(), Some(&at))).await.unwrap().version;
    }
    let removed = state.sweep().await;
    assert_eq!(removed, 5, "two editions of seven are kept");
    // What only memory has is gone too then.
    let state = state.restart().await;
    let refused = state.put(write).await.unwrap_err();
    assert!(conflict(&refused).may_have_happened && status::may_have_happened(&refused));
    assert_eq!(data(&state.get("k").await.unwrap()), "7", "the current one is kept");
    let without_id = state.put(put("k", "x", Some(&first))).await.unwrap_err();
    assert!(!conflict(&without_id).may_have_happened, "without an id nothing repeats");
}

#[tokio::test]
async fn a_repeat_of_a_cached_write_is_stored_when_it_asks_for_it() {
    let state = Harness::in_files().await;
    let first = state.put(cached(put("k", "1", None))).await.unwrap();
    state.gate.hold();
    let write = with_id(put("k", "2", Some(&first.version)), 2);
    let answer = state.put(cached(write.clone())).await.unwrap();
    assert_eq!(answer.durability(), pb::Durability::Cached);
    assert_eq!(state.put(cached(write.clone())).await.unwrap(), answer);
    state.gate.open();
    let durable = state.put(write).await.unwrap();
    assert_eq!((durable.version, durable.durability), (answer.version, pb::Durability::Durable.into()));
}
