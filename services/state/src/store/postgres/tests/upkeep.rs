//! What is forgotten, by one process at a time.

use std::time::Duration;

use super::*;
use crate::store::conformance::{at, change, read, take};
use crate::store::postgres::upkeep::{self, Piece};

/// A duty comes at once, as after its rest.
async fn is_due(process: &mut Process) {
    sqlx::raw_sql("UPDATE duties SET not_before = now()").execute(&mut process.connection).await.unwrap();
}

#[tokio::test]
async fn a_tombstone_is_forgotten_when_everybody_knows_the_floor() {
    let server = Server::start().await;
    let mut process = Process::start(&server.url(), "s").await;
    let made = ["gone", "young", "lives"].iter().zip(1..).map(|(key, n)| change(key, n, n, 0, Some("v")));
    take(&mut process, made).await;
    take(&mut process, [change("gone", 1, 4, 1, None), change("young", 2, 9, 2, None)]).await;
    let gone = read(&process, "gone").await.unwrap();
    let store = process.store.clone();
    assert_eq!(upkeep::forget_tombstones(&store, 4, Duration::ZERO).await.unwrap(), Piece::NotNow, "none is old");
    assert_eq!(upkeep::forget_tombstones(&store, 5, Duration::ZERO).await.unwrap(), Piece::Done(1));
    assert_eq!(read(&process, "gone").await, None);
    assert!(read(&process, "young").await.is_some() && read(&process, "lives").await.is_some());
    assert_eq!(process.floor().await, gone.vector);
    assert_eq!(upkeep::forget_tombstones(&store, 99, Duration::ZERO).await.unwrap(), Piece::NotNow, "it rests");
    // Its history goes with the next sweep.
    let keep = Retention { editions: 99, horizon: 0 };
    assert_eq!(process.sweep_history(0, 99, keep).await.removed, 2);
}

#[tokio::test]
async fn a_tombstone_stays_while_its_floor_settles_and_goes_only_where_it_is_covered() {
    let server = Server::start().await;
    let mut process = Process::start(&server.url(), "s").await;
    take(&mut process, [change("k", 1, 1, 0, Some("v")), change("k", 1, 2, 1, None)]).await;
    let epochs = process.known.epochs.clone();
    let shard = partition().shard();
    let mut tx = process.connection.begin().await.unwrap();
    let floor = sweep::raise_floor(&mut tx, shard, &epochs, &[at("k")]).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    assert!(read(&process, "k").await.is_some(), "it is told first");
    // Made anew and deleted again meanwhile: another tombstone, which that floor does not cover.
    take(&mut process, [change("k", 1, 3, 2, Some("v")), change("k", 1, 4, 3, None)]).await;
    let mut tx = process.connection.begin().await.unwrap();
    assert_eq!(sweep::drop_tombstones(&mut tx, shard, &epochs, &floor, &[at("k")]).await.unwrap(), 0);
    let covers = read(&Process::start(&server.url(), "s").await, "k").await.unwrap().vector;
    assert_eq!(sweep::drop_tombstones(&mut tx, shard, &epochs, &covers, &[at("k")]).await.unwrap(), 1);
    tx.rollback().await.unwrap();
    // By the knowledge of an epoch that is over, nothing.
    process.switch(Who::Postgres, false).await;
    let mut tx = process.connection.begin().await.unwrap();
    assert_eq!(sweep::drop_tombstones(&mut tx, shard, &epochs, &covers, &[at("k")]).await.unwrap(), 0);
    assert_eq!(sweep::raise_floor(&mut tx, shard, &epochs, &[at("k")]).await.unwrap(), None);
}

#[tokio::test]
async fn one_process_at_a_time_does_a_duty_and_the_next_goes_on() {
    let server = Server::start().await;
    let mut ours = Process::start(&server.url(), "s").await;
    let theirs = Process::start(&server.url(), "s").await;
    take(&mut ours, (1..=9).map(|seq| change("k", 1, seq, seq - 1, Some("v")))).await;
    let sweep = async |process: &Process| upkeep::sweep_history(&process.store, 2, 0, 4).await.unwrap();
    let mut holds = ours.connection.begin().await.unwrap();
    sqlx::raw_sql("SELECT FROM duties FOR UPDATE").execute(&mut *holds).await.unwrap();
    assert_eq!(sweep(&theirs).await, Piece::NotNow);
    holds.rollback().await.unwrap();
    // Whoever comes next goes on where the last one was.
    let mut removed = Vec::new();
    for turn in 0.. {
        match sweep(if turn % 2 == 0 { &ours } else { &theirs }).await {
            Piece::More(rows) => removed.push(rows),
            Piece::Done(_) => break,
            Piece::NotNow => panic!("nobody else is at it"),
        }
    }
    removed.retain(|rows| *rows > 0);
    assert_eq!(removed, [4, 3], "each row is looked at once");
    assert_eq!(sweep(&theirs).await, Piece::NotNow, "it rests");
    is_due(&mut ours).await;
    assert!(matches!(sweep(&theirs).await, Piece::More(0)));
}

#[tokio::test]
async fn a_duty_does_not_rest_for_ever_after_the_servers_clock_jumped_back() {
    let server = Server::start().await;
    let mut process = Process::start(&server.url(), "s").await;
    let ahead = "UPDATE duties SET not_before = now() + interval '1 year'";
    sqlx::raw_sql(ahead).execute(&mut process.connection).await.unwrap();
    assert_eq!(upkeep::forget_fences(&process.store, 9, Duration::ZERO).await.unwrap(), Piece::Done(0));
}

#[tokio::test]
async fn old_fences_and_lost_epochs_are_forgotten_by_age() {
    let server = Server::start().await;
    let mut process = Process::start(&server.url(), "s").await;
    for number in 1..=3 {
        let scope = crate::store::FenceScope { tenant: "t".into(), name: format!("session:{number}").into() };
        let fence = crate::domain::Fence { number, lease: None };
        process.write_fence(FenceChange { scope, fence }).await;
    }
    assert_eq!(upkeep::forget_fences(&process.store, 3, Duration::ZERO).await.unwrap(), Piece::Done(2));
    assert_eq!(process.fence_floor().await, 3);
    let first = process.known.epoch;
    process.switch(Who::Postgres, true).await;
    assert_eq!(upkeep::fold_epochs(&process.store, 2_000).await.unwrap(), Piece::Done(0), "it ended at that time");
    is_due(&mut process).await;
    assert_eq!(upkeep::fold_epochs(&process.store, 2_001).await.unwrap(), Piece::Done(1));
    assert!(process.epochs().await.is_folded(first));
}
