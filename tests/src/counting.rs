//! Many writers, one record: every update counts once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use holdfast_config::Peer;
use holdfast_sdk::{Client, state};
use holdfast_testkit::Mesh;
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// How many clients write at once, each over a connection of its own.
pub const CLIENTS: usize = 32;

/// The state service alone: it is what decides.
pub async fn mesh() -> Mesh {
    Mesh::builder().only(&[Peer::State]).config("").start().await
}

/// The record that everybody writes.
pub fn counter() -> state::Address {
    state::Address::new("counters", "one", "count")
}

/// What a client makes of what it read.
pub fn plus_one(count: Option<&Value>) -> Value {
    json!(count.and_then(Value::as_u64).unwrap_or(0) + 1)
}

/// Shares out a number of increments between the clients.
///
/// # Panics
/// Where one of them fails.
pub async fn increments<F>(mesh: &Mesh, total: u64, increment: impl Fn(state::State) -> F + Copy + Send + 'static)
where
    F: Future<Output = ()> + Send,
{
    let begun = Arc::new(AtomicU64::new(0));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let state = client(mesh).state();
        let begun = Arc::clone(&begun);
        clients.spawn(async move {
            while begun.fetch_add(1, Ordering::Relaxed) < total {
                increment(state.clone()).await;
            }
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended.expect("every increment succeeds");
    }
}

/// Adds one so many times, each by reading, adding and writing on condition of what was read.
///
/// # Panics
/// Where an update does not get its turn.
pub async fn updates(mesh: &Mesh, total: u64) {
    increments(mesh, total, |state| async move {
        state.update(&counter(), |count| plus_one(count.as_ref())).await.expect("every update gets its turn");
    })
    .await;
}

/// What was counted, and how many writes were accepted.
///
/// # Panics
/// Where nobody has counted.
pub async fn count(mesh: &Mesh) -> (u64, u64) {
    let record = client(mesh).state().get(&counter()).await.expect("state answers").expect("somebody has counted");
    (record.json().expect("it is a number"), record.revision)
}

fn client(mesh: &Mesh) -> Client {
    Client::connect(&mesh.url(Peer::State), "").expect("the mesh's URL is one")
}
