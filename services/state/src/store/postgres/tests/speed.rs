//! How fast the tables alone are. Not a promise: run it by hand, optimised, with `--run-ignored all --no-capture`.

use std::time::{Duration, Instant};

use super::*;
use crate::domain::{Address, Edition, Partition, ShardId};
use crate::store::Change;
use crate::store::conformance::change;

/// How long each shape is measured.
const SPAN: Duration = Duration::from_secs(4);
const KEYS: usize = 1_000;

#[tokio::test]
#[ignore = "it measures time"]
async fn compare_and_sets_in_a_second() {
    let server = Server::start().await;
    for size in [1, 8, 32, 128, 512] {
        let mut process = Process::start(&server.url(), &format!("s{size}")).await;
        let (mut done, mut spent) = (0, [Duration::ZERO; 4]);
        let began = Instant::now();
        while began.elapsed() < SPAN {
            done += one(&mut process.connection, size, done, &mut spent).await;
        }
        let rate = done as f64 / began.elapsed().as_secs_f64();
        let each = spent.map(|spent| spent.as_micros() as f64 / done as f64);
        println!("batches of {size}: {rate:.0} writes/s; µs a write to lock, load, store, commit: {each:.1?}");
    }
}

/// One transaction as a lane makes it.
async fn one(connection: &mut PgConnection, size: usize, from: usize, spent: &mut [Duration; 4]) -> usize {
    let addresses: Vec<_> = (from..from + size).map(|n| address(n % KEYS)).collect();
    let shards: std::collections::BTreeSet<_> = addresses.iter().map(Address::shard).collect();
    let shards: Vec<_> = shards.into_iter().collect();
    let mut tx = connection.begin().await.unwrap();
    let began = Instant::now();
    let rows = tables::lock_shards(&mut tx, &shards, Lock::Wait).await.unwrap();
    let locked = Instant::now();
    let loaded = tables::load(&mut tx, &addresses).await.unwrap();
    let read = Instant::now();
    let mut advances: Vec<_> =
        rows.iter().map(|row| Advance { shard: row.shard, from: row.position, to: row.position }).collect();
    let changes: Vec<_> =
        addresses.into_iter().zip(loaded).map(|(address, last)| next(&mut advances, address, last)).collect();
    tables::store(&mut tx, &changes, &advances).await.unwrap();
    let stored = Instant::now();
    tx.commit().await.unwrap();
    let now = [locked - began, read - locked, stored - read, stored.elapsed()];
    spent.iter_mut().zip(now).for_each(|(spent, now)| *spent += now);
    size
}

fn address(n: usize) -> Address {
    Partition::new("acme", "accounts", &format!("account-{n}")).unwrap().record("balance")
}

fn next(advances: &mut [Advance], address: Address, last: Option<Edition>) -> Change {
    let shard: ShardId = address.shard();
    let advance = advances.iter_mut().find(|advance| advance.shard == shard).unwrap();
    advance.to += 1;
    let made = change("k", 0, 1, 0, Some(&"v".repeat(100)));
    let revision = last.as_ref().map_or(0, |last| last.revision) + 1;
    let previous = last.map_or(0, |last| last.seq);
    let edition = Edition { seq: advance.to, previous, revision, ..made.edition.as_ref().clone() };
    Change { address, edition: std::sync::Arc::new(edition), creates: previous == 0 }
}
