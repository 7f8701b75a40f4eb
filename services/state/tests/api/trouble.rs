use futures::{StreamExt as _, stream::FuturesUnordered};
use holdfast_proto::state::v1 as pb;
use holdfast_rpc::status;
use tonic::{Code, Status};

use crate::harness::*;

#[tokio::test]
async fn a_full_disk_refuses_writes_serves_reads_and_heals_alone() {
    let state = Harness::in_files().await;
    let at = state.make("k", "1").await;
    state.gate.fill();
    for _ in 0..3 {
        let refused = state.put(put("k", "2", Some(&at))).await.unwrap_err();
        assert_come_back(&refused);
        assert!(!status::may_have_happened(&refused), "nothing was stored");
    }
    assert_eq!(data(&state.get("k").await.unwrap()), "1");
    let list = pb::ListRequest { namespace: "accounts".into(), partition: "C-1".into(), ..Default::default() };
    assert_eq!(state.list(list).await.unwrap().records.len(), 1);
    assert!(!state.embedded().is_healthy());
    state.gate.open();
    state.put(put("k", "2", Some(&at))).await.expect("it heals by itself");
    assert!(state.embedded().is_healthy());
}

#[tokio::test]
async fn what_was_acknowledged_is_stored_once_the_disk_heals() {
    let state = Harness::in_files().await;
    let first = state.put(cached(put("k", "1", None))).await.unwrap();
    state.gate.hold();
    let second = state.put(cached(put("k", "2", Some(&first.version)))).await.unwrap();
    state.gate.arrival().await;
    state.gate.fill();
    let refused = state.put(put("k", "3", Some(&second.version))).await.unwrap_err();
    assert_come_back(&refused);
    let waits = state.put(cached(put("k", "3", Some(&second.version)))).await.unwrap_err();
    assert_come_back(&waits);
    assert_eq!(data(&state.get("k").await.unwrap()), "2");
    state.gate.open();
    let state = state.restart().await;
    let record = state.get("k").await.unwrap();
    assert_eq!((data(&record).as_str(), record.version), ("2", second.version));
}

#[tokio::test]
async fn a_commit_in_doubt_is_settled_before_anything_follows() {
    let state = Harness::in_files().await;
    let first = state.make("k", "1").await;
    state.gate.doubt();
    let write = with_id(put("k", "2", Some(&first)), 2);
    let refused = state.put(write.clone()).await.unwrap_err();
    assert_come_back(&refused);
    assert!(status::may_have_happened(&refused));
    let answer = state.put(write).await.expect("it was stored, and its repeat is told so");
    assert_eq!(answer.revision, 2);
    assert_eq!(data(&state.get("k").await.unwrap()), "2");
}

#[tokio::test]
async fn past_what_may_wait_writes_are_refused_with_a_hint() {
    let mut config = holdfast_state::Config::default();
    config.waiting.writes_max = 4;
    let state = Harness::in_files_with(config).await;
    state.make("k", "1").await;
    state.gate.hold();
    let mut writes: FuturesUnordered<_> = (0..12).map(|n| state.put(put(&format!("k{n}"), "1", None))).collect();
    let is_told_when = |refused: &Status| {
        assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
        assert!(status::retry_after(refused).is_some());
    };
    // While the store hangs, only who is refused is answered.
    let first = writes.next().await.expect("twelve writes").unwrap_err();
    is_told_when(&first);
    state.gate.open();
    let rest: Vec<_> = writes.collect().await;
    rest.iter().filter_map(|answer| answer.as_ref().err()).for_each(is_told_when);
    assert!(rest.iter().any(Result::is_ok));
}
