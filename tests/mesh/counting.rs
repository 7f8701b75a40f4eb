//! Many writers, one record.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use holdfast_config::Peer;
use holdfast_sdk::{Client, state};
use holdfast_testkit::Mesh;
use serde_json::{Value, json};
use tokio::task::JoinSet;

const CLIENTS: usize = 32;

/// The state service alone: it is what decides.
async fn mesh() -> Mesh {
    Mesh::builder().only(&[Peer::State]).config("").start().await
}

fn counter() -> state::Address {
    state::Address::new("counters", "one", "count")
}

fn plus_one(count: Option<&Value>) -> Value {
    json!(count.and_then(Value::as_u64).unwrap_or(0) + 1)
}

/// Shares out a number of increments between the clients, each with a connection of its own.
async fn increments<F>(mesh: &Mesh, total: u64, increment: impl Fn(state::State) -> F + Copy + Send + 'static)
where
    F: Future<Output = ()> + Send,
{
    let begun = Arc::new(AtomicU64::new(0));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let state = Client::connect(&mesh.url(Peer::State), "").unwrap().state();
        let begun = Arc::clone(&begun);
        clients.spawn(async move {
            while begun.fetch_add(1, Ordering::Relaxed) < total {
                increment(state.clone()).await;
            }
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
}

async fn count(mesh: &Mesh) -> (u64, u64) {
    let state = Client::connect(&mesh.url(Peer::State), "").unwrap().state();
    let record = state.get(&counter()).await.unwrap().expect("somebody has counted");
    (record.json().unwrap(), record.revision)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_update_of_one_record_by_many_clients_is_lost() {
    let mesh = mesh().await;
    increments(&mesh, 10_000, |state| async move {
        state.update(&counter(), |count| plus_one(count.as_ref())).await.expect("every update gets its turn");
    })
    .await;
    assert_eq!(count(&mesh).await, (10_000, 10_000), "every accepted write counted once");
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
