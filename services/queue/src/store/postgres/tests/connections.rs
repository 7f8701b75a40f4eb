//! Who has connections of their own.

use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres};

use super::Shared;
use crate::store::conformance::{Port, accept, accepted};
use crate::store::{Filter, Shared as _, Store};

#[tokio::test]
async fn lists_keep_nobody_from_a_single_invocation_nor_the_other_way_round() {
    let server = Shared::start().await;
    let process = server.process("s").await;
    let one = accepted();
    accept(&(process.clone() as Port), &one).await;
    let held = all(&process.lists).await;
    assert!(process.get(one.id, None, false).await.unwrap().is_some());
    drop(held);
    let _held = all(&process.reads).await;
    assert_eq!(process.list(Filter { limit: 1, ..Filter::default() }).await.unwrap().len(), 1);
}

#[tokio::test]
async fn no_flood_of_reads_keeps_a_process_from_showing_that_it_lives_and_from_seeing_what_is_ready() {
    let server = Shared::start().await;
    let (ours, theirs) = (server.process("s").await, server.process("s").await);
    let _flood = (all(&ours.reads).await, all(&ours.lists).await);
    let ready = accepted();
    accept(&(theirs as Port), &ready).await;
    ours.beat(0.0).await.expect("it lives");
    let seen = ours.tail(Vec::new(), 10).await.unwrap();
    assert_eq!(seen.iter().map(|candidate| candidate.id).collect::<Vec<_>>(), [ready.id]);
}

/// Every connection that there may be.
async fn all(pool: &PgPool) -> Vec<PoolConnection<Postgres>> {
    let mut held = Vec::new();
    for _ in 0..pool.options().get_max_connections() {
        held.push(pool.acquire().await.unwrap());
    }
    held
}
