use holdfast_proto::state::v1::{self as pb, batch_put_request::Write};
use holdfast_rpc::status;
use tonic::Code;

use crate::harness::*;

fn batch(writes: Vec<Write>) -> pb::BatchPutRequest {
    pb::BatchPutRequest {
        namespace: "accounts".into(),
        partition: "C-1".into(),
        writes,
        write_id: String::new(),
        durability: 0,
        lock: None,
    }
}

fn write(key: &str, read: Option<&[u8]>, data: Option<&str>) -> Write {
    Write { key: key.into(), precondition: read.and_then(version), value: data.map(value), ttl: None }
}

#[tokio::test]
async fn a_batch_is_taken_whole() {
    let state = Harness::start().await;
    let (a, gone) = (state.make("a", "1").await, state.make("gone", "1").await);
    let written = state
        .batch(batch(vec![
            write("a", Some(&a), Some("2")),
            write("b", None, Some("1")),
            write("gone", Some(&gone), None),
        ]))
        .await
        .unwrap();
    let revisions: Vec<_> = written.written.iter().map(|written| (written.key.as_str(), written.revision)).collect();
    assert_eq!(revisions, [("a", 2), ("b", 1), ("gone", 2)]);
    assert_eq!(data(&state.get("a").await.unwrap()), "2");
    assert_eq!(state.get("gone").await.unwrap_err().code(), Code::NotFound);
    assert_eq!(state.get("b").await.unwrap().version, written.written[1].version);
}

#[tokio::test]
async fn a_batch_with_one_conflict_changes_nothing() {
    let state = Harness::start().await;
    let (a, b) = (state.make("a", "1").await, state.make("b", "1").await);
    state.put(put("b", "2", Some(&b))).await.unwrap();
    let refused = state.batch(batch(vec![write("a", Some(&a), Some("2")), write("b", Some(&b), Some("3"))])).await;
    let conflict = conflict(&refused.unwrap_err());
    assert_eq!(conflict.current.unwrap().address.unwrap().key, "b");
    assert_eq!(state.get("a").await.unwrap().revision, 1);
}

#[tokio::test]
async fn nobody_sees_half_a_batch() {
    let state = Harness::start().await;
    state.make("a", "0").await;
    state.make("b", "0").await;
    let writer = async {
        for n in 1..60 {
            let both =
                ["a", "b"].map(|key| Write { precondition: overwrite(), ..write(key, None, Some(&n.to_string())) });
            state.batch(batch(both.to_vec())).await.unwrap();
        }
    };
    let reader = async {
        for _ in 0..60 {
            let list = pb::ListRequest { namespace: "accounts".into(), partition: "C-1".into(), ..Default::default() };
            let records = state.list(list).await.unwrap().records;
            assert_eq!(data(&records[0]), data(&records[1]));
        }
    };
    tokio::join!(writer, reader);
}

#[tokio::test]
async fn a_failed_batch_leaves_nothing_behind() {
    let state = Harness::in_files().await;
    let a = state.make("a", "1").await;
    state.gate.fill();
    let both = batch(vec![write("a", Some(&a), Some("2")), write("b", None, Some("1"))]);
    assert_come_back(&state.batch(both.clone()).await.unwrap_err());
    state.gate.open();
    assert_eq!(state.get("b").await.unwrap_err().code(), Code::NotFound);
    state.batch(both).await.expect("the same batch fits still");
}

#[tokio::test]
async fn bad_batches_name_their_field() {
    let state = Harness::start().await;
    let other = state.make("other", "1").await;
    let many = (0..101).map(|n| write(&n.to_string(), None, Some("1"))).collect();
    for (writes, field) in [
        (vec![], "writes"),
        (many, "writes"),
        (vec![write("a", None, Some("1")), write("a", None, Some("1"))], "writes[1].key"),
        (vec![write("", None, Some("1"))], "writes[0].key"),
        (vec![write("a", None, None)], "writes[0].precondition"),
        (vec![write("b", None, Some("1")), write("a", Some(&other), Some("1"))], "writes[1].precondition.version"),
    ] {
        let refused = state.batch(batch(writes)).await.unwrap_err();
        assert_eq!((refused.code(), status::field(&refused).as_deref()), (Code::InvalidArgument, Some(field)));
    }
}
