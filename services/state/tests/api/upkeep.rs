use holdfast_proto::state::v1 as pb;
use tonic::Code;

use crate::harness::*;

const EIGHT_DAYS: i64 = 8 * 24 * 3_600 * 1_000_000;

#[tokio::test]
async fn a_record_made_anew_after_its_tombstone_is_forgotten_repeats_no_version() {
    let state = Harness::start().await;
    let mut given = vec![state.make("k", "1").await];
    given.push(state.put(put("k", "2", Some(&given[0]))).await.unwrap().version.into());
    let delete = pb::DeleteRequest {
        address: Some(address("k")),
        precondition: version(&given[1]),
        ..pb::DeleteRequest::default()
    };
    state.delete(delete).await.unwrap();
    state.upkeep_later(EIGHT_DAYS).await;
    let tombstones = "SELECT count(*) FROM records";
    assert_eq!(state.ask(tombstones).await, 0, "the tombstone is gone");

    let state = state.restart().await;
    for version in &given {
        conflict(&state.put(put("k", "stale", Some(version))).await.unwrap_err());
    }
    given.push(state.make("k", "anew").await);
    assert!(!given[..2].contains(&given[2]));
    for version in &given[..2] {
        conflict(&state.put(put("k", "stale", Some(version))).await.unwrap_err());
    }
    assert_eq!(data(&state.get("k").await.unwrap()), "anew");
}

#[tokio::test]
async fn young_tombstones_and_live_records_are_kept() {
    let state = Harness::start().await;
    let live = state.make("live", "1").await;
    let gone = state.make("gone", "1").await;
    let delete = pb::DeleteRequest {
        address: Some(address("gone")),
        precondition: version(&gone),
        ..pb::DeleteRequest::default()
    };
    state.delete(delete).await.unwrap();
    state.upkeep_later(0).await;
    assert_eq!(state.ask("SELECT count(*) FROM records").await, 2);
    state.upkeep_later(EIGHT_DAYS).await;
    assert_eq!(state.ask("SELECT count(*) FROM records").await, 1);
    assert_eq!(state.get("gone").await.unwrap_err().code(), Code::NotFound);
    state.put(put("live", "2", Some(&live))).await.unwrap();
}
