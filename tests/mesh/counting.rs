use holdfast_sdk::state;
use holdfast_tests::counting::{count, counter, increments, mesh, plus_one, updates};
use serde_json::Value;

/// `tests/prove counting` does it 10,000 times.
#[tokio::test(flavor = "multi_thread")]
async fn no_update_of_one_record_by_many_clients_is_lost() {
    let mesh = mesh().await;
    updates(&mesh, 1_000).await;
    assert_eq!(count(&mesh).await, (1_000, 1_000), "every accepted write counted once");
}

/// The same without the version: shows that the test above sees a lost update when there is one.
#[tokio::test(flavor = "multi_thread")]
async fn blind_overwrites_do_lose_updates() {
    let mesh = mesh().await;
    increments(&mesh, 1_000, |state| async move {
        let read = state.get(&counter()).await.unwrap();
        let before: Option<Value> = read.map(|record| record.json().unwrap());
        let value = state::Value::json(&plus_one(before.as_ref())).unwrap();
        state.put(&counter(), value, state::Precondition::Overwrite).await.unwrap();
    })
    .await;
    let (count, writes) = count(&mesh).await;
    assert_eq!(writes, 1_000, "every write was accepted");
    assert!(count < writes, "and some overwrote another unseen");
}
