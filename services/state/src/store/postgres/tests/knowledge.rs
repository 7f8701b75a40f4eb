//! What processes must know alike to compare versions: epochs and floors. And fences, which are at home here.

use super::*;
use crate::domain::{Fence, ShardId};
use crate::store::FenceScope;
use crate::store::conformance::{at, change, take};

#[tokio::test]
async fn who_does_not_know_of_a_fold_finds_so_in_the_shards_row() {
    let server = Server::start().await;
    let mut ours = Process::start(&server.url(), "s").await;
    let mut theirs = Process::start(&server.url(), "s").await;
    let first = ours.known.epoch;
    ours.switch(Who::Postgres, true).await;
    theirs.learn().await;
    // A transaction of theirs waits for the shard while epochs are folded.
    let mut tx = ours.connection.begin().await.unwrap();
    assert_eq!(sweep::fold_epochs(&mut tx, &[first]).await.unwrap(), 1);
    let shard = [partition().shard()];
    let mut waits = theirs.connection.begin().await.unwrap();
    let (row, committed) = tokio::join!(tables::lock_shards(&mut waits, &shard, Lock::Wait), tx.commit());
    committed.unwrap();
    assert_ne!(row.unwrap()[0].folds, theirs.known.folds);
    waits.rollback().await.unwrap();
    assert_eq!(tables::load_if(&mut theirs.connection, &theirs.known, &[at("k")]).await.unwrap(), None);
    let known = theirs.learn().await;
    assert!(known.epochs.is_folded(first));
    let read = tables::load_if(&mut ours.connection, &theirs.known, &[at("k")]).await.unwrap();
    assert_eq!(read, Some(vec![None]), "now it holds");
}

#[tokio::test]
async fn a_floor_that_rose_is_known_with_the_next_renewal() {
    let server = Server::start().await;
    let mut ours = Process::start(&server.url(), "s").await;
    let mut theirs = Process::start(&server.url(), "s").await;
    let shard = partition().shard();
    let floor = change("k", 1, 3, 2, None).edition.vector.clone();
    tables::set_floor(&mut ours.connection, shard, &floor).await.unwrap();
    assert_eq!(theirs.learn().await.floors[shard.index()], floor);
}

fn scope(name: &str) -> FenceScope {
    FenceScope { tenant: "acme".into(), name: name.into() }
}

fn held(number: u64, lease: &str) -> Fence {
    Fence { number, lease: Some(lease.into()) }
}

async fn write(process: &mut Process, name: &str, fence: Fence) {
    process.write_fence(FenceChange { scope: scope(name), fence }).await;
}

#[tokio::test]
async fn a_fence_that_a_write_stands_on_stays_until_it_is_committed() {
    let server = Server::start().await;
    let mut writer = Process::start(&server.url(), "s").await;
    let mut raiser = Process::start(&server.url(), "s").await;
    write(&mut writer, "session:s", held(5, "a")).await;
    let scopes = [scope("session:t"), scope("session:s")];
    let mut tx = writer.connection.begin().await.unwrap();
    let shared = tables::share_fences(&mut tx, &scopes).await.unwrap();
    assert_eq!((shared.fences, shared.floor), (vec![None, Some(held(5, "a"))], 0));
    sqlx::raw_sql("SET lock_timeout = '20ms'").execute(&mut raiser.connection).await.unwrap();
    let change = [FenceChange { scope: scope("session:s"), fence: Fence { number: 5, lease: None } }];
    tables::write_fences(&mut raiser.connection, &change).await.unwrap_err();
    tx.commit().await.unwrap();
    tables::write_fences(&mut raiser.connection, &change).await.unwrap();
    assert_eq!(writer.shelf().fence(scope("session:s")).await.unwrap(), Some(Fence { number: 5, lease: None }));
}

#[tokio::test]
async fn of_several_fences_of_one_scope_the_newest_counts() {
    let server = Server::start().await;
    let mut process = Process::start(&server.url(), "s").await;
    let change = |number, lease: Option<&str>| FenceChange {
        scope: scope("session:s"),
        fence: Fence { number, lease: lease.map(Into::into) },
    };
    let all = [change(7, Some("b")), change(5, Some("a")), change(7, None), change(7, Some("b"))];
    tables::write_fences(&mut process.connection, &all).await.unwrap();
    let stands = process.shelf().fence(scope("session:s")).await.unwrap();
    assert_eq!(stands, Some(Fence { number: 7, lease: None }));
}

#[tokio::test]
async fn nothing_below_what_is_remembered_is_registered() {
    let server = Server::start().await;
    let mut process = Process::start(&server.url(), "s").await;
    write(&mut process, "session:s", held(5, "a")).await;
    process.sweep_fences(6).await;
    write(&mut process, "session:s", held(5, "a")).await;
    assert_eq!(process.shelf().fence(scope("session:s")).await.unwrap(), None);
    assert_eq!(tables::share_fences(&mut process.connection, &[scope("session:s")]).await.unwrap().floor, 6);
}

#[tokio::test]
async fn a_fence_that_a_write_stands_on_is_not_forgotten() {
    let server = Server::start().await;
    let mut writer = Process::start(&server.url(), "s").await;
    let mut other = Process::start(&server.url(), "s").await;
    write(&mut writer, "session:s", held(5, "a")).await;
    let mut tx = writer.connection.begin().await.unwrap();
    tables::share_fences(&mut tx, &[scope("session:s")]).await.unwrap();
    other.sweep_fences(9).await;
    tx.commit().await.unwrap();
    assert!(other.shelf().fence(scope("session:s")).await.unwrap().is_some());
    other.sweep_fences(9).await;
    assert_eq!((other.shelf().fence(scope("session:s")).await.unwrap(), other.fence_floor().await), (None, 6));
}

#[tokio::test]
async fn a_copy_is_noted_while_its_fence_counts_and_only_then() {
    let server = Server::start().await;
    let mut process = Process::start(&server.url(), "s").await;
    let (epoch, shards) = (process.known.epoch, [0, 63].map(|index| ShardId::from_index(index).unwrap()));
    write(&mut process, "session:s", held(5, "a")).await;
    let connection = &mut process.connection;
    for shard in shards {
        assert!(tables::confirm_fence(connection, epoch, &scope("session:s"), &held(5, "a"), shard).await.unwrap());
    }
    for other in [held(4, "a"), held(5, "b"), Fence { number: 5, lease: None }] {
        assert!(!tables::confirm_fence(connection, epoch, &scope("session:s"), &other, shards[0]).await.unwrap());
    }
    assert_eq!(tables::fence_shards(connection, epoch, &scope("session:s")).await.unwrap(), shards);
    let next = EpochId(epoch.0.wrapping_add(1));
    assert!(tables::fence_shards(connection, next, &scope("session:s")).await.unwrap().is_empty());
    assert!(tables::confirm_fence(connection, next, &scope("session:s"), &held(5, "a"), shards[1]).await.unwrap());
    assert_eq!(tables::fence_shards(connection, next, &scope("session:s")).await.unwrap(), shards[1..]);
    // A raise leaves the notes: it has to be told to those shards.
    write(&mut process, "session:s", held(6, "b")).await;
    assert_eq!(tables::fence_shards(&mut process.connection, next, &scope("session:s")).await.unwrap(), shards[1..]);
}

#[tokio::test]
async fn records_are_loaded_in_the_order_in_which_they_are_asked_for() {
    let server = Server::start().await;
    let mut process = Process::start(&server.url(), "s").await;
    take(&mut process, (1..=5).map(|n| change(&format!("k{n}"), n, n, 0, Some("v")))).await;
    let asked = [at("k4"), at("none"), at("k1"), at("k4")];
    let seqs = |found: Vec<Option<crate::domain::Edition>>| {
        found.into_iter().map(|edition| edition.map(|edition| edition.seq)).collect::<Vec<_>>()
    };
    let expected = [Some(4), None, Some(1), Some(4)];
    let known = process.known.clone();
    let connection = &mut process.connection;
    assert_eq!(seqs(tables::load(connection, &asked).await.unwrap()), expected);
    assert_eq!(seqs(tables::load_if(connection, &known, &asked).await.unwrap().unwrap()), expected);
}
