use std::sync::atomic::Ordering;

use futures::future::join_all;
use holdfast_sdk::{
    Client, Error, Json,
    state::{Address, Precondition, Value},
};
use serde_json::json;

use crate::standin::Mesh;

const UPDATERS: u64 = 32;
const UPDATES: u64 = 10;

fn count(current: Option<Json>) -> u64 {
    current.and_then(|current| current.as_u64()).unwrap_or(0)
}

#[tokio::test]
async fn updates_by_32_at_once_are_all_counted() {
    let mesh = Mesh::start().await;
    let client = Client::connect(&mesh.url(), "").expect("well-formed");
    let address = Address::new("accounts", "A-1", "balance");
    let updaters = (0..UPDATERS).map(|_| {
        let (state, address) = (client.state(), address.clone());
        async move {
            for _ in 0..UPDATES {
                state.update(&address, |current| json!(count(current) + 1)).await.expect("it gets its turn");
            }
        }
    });
    join_all(updaters).await;

    let record = client.state().get(&address).await.expect("there").expect("written");
    assert_eq!(record.json::<u64>().expect("a number"), UPDATERS * UPDATES);
    assert_eq!(record.revision, UPDATERS * UPDATES);
    assert!(mesh.state.conflicts.load(Ordering::SeqCst) > 0, "nobody collided: the test shows nothing");
}

#[tokio::test]
async fn a_conflict_brings_the_record_along() {
    let mesh = Mesh::start().await;
    let state = Client::connect(&mesh.url(), "").expect("well-formed").state();
    let address = Address::new("accounts", "A-1", "balance");
    state.update(&address, |_| json!(1)).await.expect("written");
    let before = mesh.state.reads.load(Ordering::SeqCst);

    let mut rounds = 0;
    let update = state.update(&address, |current| {
        rounds += 1;
        if rounds == 1 {
            // Somebody else is faster: between this update's read and its write.
            mesh.state.overwrite(&address, "10");
        }
        json!(count(current) + 1)
    });
    let written = update.await.expect("applied to what the other wrote");

    assert_eq!(written.json::<u64>().expect("a number"), 11);
    assert_eq!(mesh.state.reads.load(Ordering::SeqCst) - before, 1, "the conflict's record is read, not another");
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_happens_once() {
    let mesh = Mesh::start().await;
    let state = Client::connect(&mesh.url(), "").expect("well-formed").state();
    let address = Address::new("accounts", "A-1", "balance");
    mesh.state.lose_answers.store(2, Ordering::SeqCst);
    let written = state.update(&address, |current| json!(count(current) + 1)).await.expect("asked again");
    assert_eq!((written.revision, mesh.state.conflicts.load(Ordering::SeqCst)), (1, 0));
}

#[tokio::test]
async fn an_update_can_decide_to_leave_the_record_as_it_is() {
    let mesh = Mesh::start().await;
    let state = Client::connect(&mesh.url(), "").expect("well-formed").state();
    let address = Address::new("accounts", "A-1", "balance");
    let refused = state.try_update(&address, |_| Err::<Json, _>(Error::Invalid("overdrawn".into()))).await;
    assert!(matches!(refused, Err(Error::Invalid(_))));
    assert!(state.get(&address).await.expect("reachable").is_none());
}

#[tokio::test]
async fn a_stale_write_is_told_what_the_record_is_now() {
    let mesh = Mesh::start().await;
    let state = Client::connect(&mesh.url(), "").expect("well-formed").state();
    let address = Address::new("accounts", "A-1", "status");
    let value = |text: &str| Value::json(&text).expect("plain JSON");
    let first = state.put(&address, value("open"), Precondition::Absent).await.expect("new");
    let stale = Precondition::Version(first.version);
    state.put(&address, value("frozen"), stale.clone()).await.expect("as it was read");
    match state.put(&address, value("closed"), stale).await {
        Err(Error::Conflict(conflict)) => assert_eq!(conflict.current.json::<String>().expect("text"), "frozen"),
        other => panic!("a lost update: {other:?}"),
    }
}
