use holdfast_rpc::status;
use tonic::Code;

use crate::harness::*;

const CLIENTS: u64 = 32;
const EACH: u64 = 10;

/// Every client reads, adds one, and writes, on one record. Returns what the record says in the end.
async fn count(state: &Harness) -> u64 {
    state.make("counter", "0").await;
    let clients = (0..CLIENTS).map(|_| increment(state));
    futures::future::join_all(clients).await;
    data(&state.get("counter").await.unwrap()).parse().unwrap()
}

async fn increment(state: &Harness) {
    for _ in 0..EACH {
        let mut read = state.get("counter").await.unwrap();
        loop {
            let next: u64 = data(&read).parse::<u64>().unwrap() + 1;
            match state.put(put("counter", &next.to_string(), Some(&read.version))).await {
                Ok(_) => break,
                Err(refused) if refused.code() == Code::Aborted => read = conflict(&refused).current.unwrap(),
                Err(other) => panic!("{other:?} {:?}", status::reason(&other)),
            }
        }
    }
}

#[tokio::test]
async fn no_update_of_32_clients_is_lost() {
    let state = Harness::start().await;
    assert_eq!(count(&state).await, CLIENTS * EACH);
    assert_eq!(state.get("counter").await.unwrap().revision, CLIENTS * EACH + 1);
}

/// The test above can see what it guards against: with the version check left out, updates are lost.
#[tokio::test]
async fn without_the_version_check_updates_are_lost() {
    let state = Harness::start().await;
    state.faults().skip_version_check();
    assert!(count(&state).await < CLIENTS * EACH);
}
