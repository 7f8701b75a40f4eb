use futures::future::join_all;
use holdfast_proto::state::v1 as pb;

use super::Several;
use crate::harness::*;

#[tokio::test]
async fn a_repeat_gets_its_first_answer_at_another_process() {
    let state = Several::start(2).await;
    let first = state.turn(0).make("k", "1").await;
    let write = with_id(put("k", "2", Some(&first)), 2);
    let blind = pb::PutRequest { precondition: overwrite(), ..with_id(put("other", "x", None), 3) };
    let (answer, overwrote) =
        (state.turn(0).put(write.clone()).await.unwrap(), state.turn(0).put(blind.clone()).await.unwrap());
    state.turn(1).put(put("k", "3", Some(&answer.version))).await.unwrap();
    state.turn(1).put(pb::PutRequest { precondition: overwrite(), ..put("other", "y", None) }).await.unwrap();
    assert_eq!(state.turn(1).put(write).await.unwrap(), answer);
    assert_eq!(state.turn(1).put(blind).await.unwrap(), overwrote);
    assert_eq!(data(&state.turn(0).get("k").await.unwrap()), "3");
    assert_eq!(data(&state.turn(0).get("other").await.unwrap()), "y");
}

#[tokio::test]
async fn a_creation_is_not_repeated_at_another_process_after_its_records_end() {
    let state = Several::start(2).await;
    let create = with_id(put("k", "1", None), 1);
    let answer = state.turn(0).put(create.clone()).await.unwrap();
    let delete =
        pb::DeleteRequest { address: Some(address("k")), precondition: version(&answer.version), ..Default::default() };
    state.turn(1).delete(delete).await.unwrap();
    let copies = join_all((0..8).map(|n| state.turn(n).put(create.clone()))).await;
    assert!(copies.iter().all(|copy| copy.as_ref().is_ok_and(|copy| *copy == answer)), "{copies:?}");
    assert_eq!(state.turn(0).get("k").await.unwrap_err().code(), tonic::Code::NotFound);
}

#[tokio::test]
async fn copies_at_several_processes_at_once_count_as_one() {
    let state = Several::start(4).await;
    let first = state.turn(0).make("k", "1").await;
    let gone = state.turn(0).make("gone", "1").await;
    let delete =
        pb::DeleteRequest { address: Some(address("gone")), precondition: version(&gone), ..Default::default() };
    state.turn(0).delete(delete).await.unwrap();
    let writes = [
        with_id(put("k", "2", Some(&first)), 2),
        pb::PutRequest { precondition: overwrite(), ..with_id(put("blind", "1", None), 3) },
        // Made anew after its end: only the history knows a repeat of it.
        with_id(put("gone", "2", None), 4),
    ];
    for write in writes {
        let copies = join_all((0..24).map(|n| state.turn(n).put(write.clone()))).await;
        let answers: Vec<_> = copies.into_iter().map(Result::unwrap).collect();
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    }
    for (key, revision) in [("k", 2), ("blind", 1), ("gone", 3)] {
        assert_eq!(state.turn(1).get(key).await.unwrap().revision, revision, "{key}");
    }
}
