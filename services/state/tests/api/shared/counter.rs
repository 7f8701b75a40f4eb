use holdfast_rpc::status;
use tonic::Code;

use super::Several;
use crate::harness::*;

const PROCESSES: usize = 4;
const CLIENTS: usize = 16;
const EACH: u64 = 10;

/// Every client reads, adds one, and writes, on one record, each time at another process. Returns what it says in the end.
async fn count(state: &Several) -> u64 {
    state.turn(0).make("counter", "0").await;
    futures::future::join_all((0..CLIENTS).map(|client| increment(state, client))).await;
    data(&state.turn(1).get("counter").await.unwrap()).parse().unwrap()
}

async fn increment(state: &Several, client: usize) {
    let mut turn = client;
    for _ in 0..EACH {
        let mut read = state.turn(turn).get("counter").await.unwrap();
        loop {
            turn += 1;
            let next: u64 = data(&read).parse::<u64>().unwrap() + 1;
            match state.turn(turn).put(put("counter", &next.to_string(), Some(&read.version))).await {
                Ok(_) => break,
                Err(refused) if refused.code() == Code::Aborted => read = conflict(&refused).current.unwrap(),
                Err(other) => panic!("{other:?} {:?}", status::reason(&other)),
            }
        }
    }
}

#[tokio::test]
async fn no_update_is_lost_between_four_processes() {
    let state = Several::start(PROCESSES).await;
    assert_eq!(count(&state).await, CLIENTS as u64 * EACH);
    let record = state.turn(2).get("counter").await.unwrap();
    assert_eq!(record.revision, CLIENTS as u64 * EACH + 1, "the number of accepted writes");
}

/// The test above can see what it guards against.
#[tokio::test]
async fn without_the_version_check_updates_are_lost_between_processes() {
    let state = Several::start(PROCESSES).await;
    state.processes.iter().for_each(|process| process.faults().skip_version_check());
    assert!(count(&state).await < CLIENTS as u64 * EACH);
}

#[tokio::test]
async fn what_one_process_answered_every_process_reads() {
    let state = Several::start(3).await;
    let mut at = state.turn(0).make("k", "0").await;
    for n in 1..60 {
        at = state.turn(n).put(put("k", &n.to_string(), Some(&at))).await.unwrap().version.into();
        let record = state.turn(n + 1).get("k").await.unwrap();
        assert_eq!((data(&record), record.version.as_ref()), (n.to_string(), &*at));
    }
    let refused = state.turn(0).put(put("k", "late", None)).await.unwrap_err();
    let told = conflict(&refused);
    assert_eq!((told.current.unwrap().revision, told.writers_since.len()), (60, 60));
}
