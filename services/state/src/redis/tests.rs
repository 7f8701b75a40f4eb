//! Two processes over a real Redis and a real PostgreSQL.

mod forgotten;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use holdfast_config::{Common, Document, Span};
use holdfast_testkit as testkit;
use tokio::time::timeout;
use uuid::Uuid;

use super::*;
use crate::{
    decider::Decider,
    domain::{Address, Edition, Precondition, Value, Vector},
    failed::Failed,
    write::{Command, Durability, Refusal, Write, Written},
};

/// Longer than any change of who decides takes here.
const PATIENCE: Duration = Duration::from_secs(15);

struct Ground {
    postgres: testkit::Postgres,
    redis: testkit::Redis,
}

impl Ground {
    async fn start() -> Self {
        let (postgres, redis) = tokio::join!(testkit::Postgres::start(), testkit::Redis::start());
        Self { postgres, redis }
    }

    async fn process(&self) -> Redis {
        let config = Config { decider_lease: Span::from_secs(2), ..Config::default() };
        let text = format!("[redis]\nurl = {:?}\ntimeout = \"300ms\"\ngone_after = \"500ms\"\n", self.redis.url());
        let common = Common::from_document(&Document::parse("test", &text, []).unwrap()).unwrap();
        let store = Postgres::join(&self.postgres.url(), &config).await.expect("the database is there");
        let place = RedisPlace::new(&common.redis).expect("a Redis is named");
        Redis::before(store, place, &config, &common.redis)
    }
}

impl Redis {
    /// Waits until this process knows that the Redis decides, or the database.
    async fn until_decided_in(&self, redis: bool) {
        let known = async {
            loop {
                let news = self.engine.lease.news();
                if self.engine.lease.current().is_some_and(|deciding| Engine::in_place(&deciding) == redis) {
                    return;
                }
                news.await;
            }
        };
        timeout(PATIENCE, known).await.expect("who decides has changed by now");
    }

    /// Until it works: what is refused while who decides is changed is asked for again.
    async fn put(&self, key: &str, read: Option<Vector>, text: &str, durability: Durability) -> Written {
        let command = command(key, read.map_or(Precondition::Absent, Precondition::Version), text, durability);
        let taken = async {
            loop {
                match self.write(&command, None).await {
                    Ok(written) => return written,
                    Err(Failed::Store(_)) => tokio::task::yield_now().await,
                    Err(other) => panic!("{other:?}"),
                }
            }
        };
        timeout(PATIENCE, taken).await.expect("it heals")
    }

    async fn read(&self, key: &str) -> Arc<Edition> {
        let found = async {
            loop {
                match self.get(&[at(key)]).await {
                    Ok(mut found) => return found.remove(0).expect("it is there"),
                    Err(Failed::Store(_)) => tokio::task::yield_now().await,
                    Err(other) => panic!("{other:?}"),
                }
            }
        };
        timeout(PATIENCE, found).await.expect("it heals")
    }
}

fn at(key: &str) -> Address {
    Address::new("acme", "n", "p", key).unwrap()
}

fn command(key: &str, precondition: Precondition, text: &str, durability: Durability) -> Command {
    let value = Value { data: Bytes::copy_from_slice(text.as_bytes()), content_type: "".into() };
    Command {
        writes: vec![Write { address: at(key), precondition, value: Some(value), expires: None }],
        guard: None,
        write_id: Some(Uuid::now_v7()),
        invocation_id: "".into(),
        durability,
        now: 0,
    }
}

fn text(edition: &Edition) -> String {
    String::from_utf8(edition.value.as_ref().expect("it lives").data.to_vec()).expect("text")
}

#[tokio::test]
async fn two_processes_decide_in_one_redis() {
    let ground = Ground::start().await;
    let (one, other) = (ground.process().await, ground.process().await);
    tokio::join!(one.until_decided_in(true), other.until_decided_in(true));
    let first = one.put("k", None, "1", Durability::Durable).await;
    assert_eq!(first.durability, Durability::Durable);
    let seen = other.read("k").await;
    assert_eq!((text(&seen), &seen.vector), ("1".into(), &first.records[0].vector));
    let second = other.put("k", Some(seen.vector.clone()), "2", Durability::Durable).await;
    let stale = command("k", Precondition::Version(seen.vector.clone()), "3", Durability::Durable);
    match one.write(&stale, None).await {
        Err(Failed::Refused(refusal)) => match *refusal {
            Refusal::Conflict { current, since, .. } => {
                assert_eq!((current.vector, since.len()), (second.records[0].vector.clone(), 1));
            }
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
    // The first of a shard waits for its mark, the next ones do not.
    let third = one.put("k", Some(second.records[0].vector.clone()), "3", Durability::Cached).await;
    assert_eq!(third.durability, Durability::Durable);
    let fourth = one.put("k", Some(third.records[0].vector.clone()), "4", Durability::Cached).await;
    assert_eq!(fourth.durability, Durability::Cached);
    assert_eq!(text(&*other.read("k").await), "4");
    other.sync(&at("k").in_partition()).await.expect("it is stored");
    tokio::join!(one.close(), other.close());
}

#[tokio::test]
async fn a_redis_that_dies_costs_no_durable_write_and_is_used_again() {
    let mut ground = Ground::start().await;
    let (one, other) = (ground.process().await, ground.process().await);
    tokio::join!(one.until_decided_in(true), other.until_decided_in(true));
    let first = one.put("k", None, "1", Durability::Durable).await;
    ground.redis.kill().await;
    tokio::join!(one.until_decided_in(false), other.until_decided_in(false));
    let second = other.put("k", Some(first.records[0].vector.clone()), "2", Durability::Durable).await;
    assert_eq!(text(&*one.read("k").await), "2");
    ground.redis.restart().await;
    tokio::join!(one.until_decided_in(true), other.until_decided_in(true));
    one.put("k", Some(second.records[0].vector.clone()), "3", Durability::Durable).await;
    assert_eq!((text(&*other.read("k").await), other.read("k").await.revision), ("3".into(), 3));
}

#[tokio::test]
async fn a_redis_that_is_replaced_loses_only_cached_writes_and_says_so() {
    let mut ground = Ground::start().await;
    let one = ground.process().await;
    one.until_decided_in(true).await;
    let first = one.put("k", None, "1", Durability::Cached).await;
    let cached = one.put("k", Some(first.records[0].vector.clone()), "2", Durability::Cached).await;
    assert_eq!(cached.durability, Durability::Cached);
    let epoch = one.engine.lease.known().expect("it decides").epoch;
    ground.redis.replace().await;
    let again = one.put("other", None, "x", Durability::Durable).await;
    assert_eq!(again.records[0].revision, 1);
    let known = one.engine.lease.known().expect("it decides");
    assert!(known.epoch != epoch && known.epochs.is_lost(epoch), "the shard was dirty, and its log is gone");
    let left = one.read("k").await;
    let ahead = command("k", Precondition::Version(cached.records[0].vector.clone()), "3", Durability::Durable);
    match (text(&left).as_str(), one.write(&ahead, None).await) {
        ("1", Err(Failed::Refused(refusal))) => assert!(matches!(*refusal, Refusal::Lost { .. }), "{refusal:?}"),
        // It was flushed before the Redis died.
        ("2", Ok(_)) => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_database_that_dies_refuses_durable_writes_and_heals() {
    let mut ground = Ground::start().await;
    let one = ground.process().await;
    one.until_decided_in(true).await;
    let first = one.put("k", None, "1", Durability::Durable).await;
    ground.postgres.kill().await;
    let durable = command("k", Precondition::Version(first.records[0].vector.clone()), "2", Durability::Durable);
    match one.write(&durable, None).await {
        Err(Failed::Store(unstored)) => assert!(unstored.failure.retry_after().is_some(), "{unstored:?}"),
        other => panic!("{other:?}"),
    }
    ground.postgres.restart().await;
    let taken = timeout(PATIENCE, async {
        loop {
            // Its repeat gets its first answer, or it is taken now: either way once.
            match one.write(&durable, None).await {
                Ok(written) => return written,
                Err(Failed::Store(_)) => tokio::task::yield_now().await,
                Err(other) => panic!("{other:?}"),
            }
        }
    });
    assert_eq!(taken.await.expect("it heals").records[0].revision, 2);
    assert_eq!(text(&*one.read("k").await), "2");
}

#[tokio::test]
async fn what_an_ended_epoch_left_is_never_stored_and_nothing_is_stored_twice() {
    use crate::{
        domain::{EpochId, Writer},
        place::Logged,
        redis::archive::{Prefix, Unflushed},
    };
    let ground = Ground::start().await;
    let one = ground.process().await;
    one.until_decided_in(true).await;
    let epoch = one.engine.lease.known().expect("it decides").epoch;
    let edition = |seq, previous: u64| Edition {
        record: 0,
        seq,
        previous,
        revision: seq,
        vector: Vector::default(),
        value: None,
        writer: Writer { write_id: Uuid::now_v7(), invocation_id: "".into(), time: 0 },
        blind: false,
        expires: None,
    };
    let shard = at("late").shard();
    let prefix = |after: u64| {
        let editions = vec![(at("late"), Arc::new(edition(after + 1, after)))];
        vec![Prefix { shard, after, entries: vec![Logged { editions, cached: false }], marks: None }]
    };
    let archive = &one.engine.archive;
    let ended = archive.flush(EpochId(epoch.0 ^ 1), prefix(0)).await;
    assert!(matches!(ended, Err(Unflushed::Ended)), "{ended:?}");
    assert_eq!(archive.flush(epoch, prefix(0)).await.expect("it is next")[0].position, Some(1));
    assert_eq!(archive.flush(epoch, prefix(0)).await.expect("nothing is stored")[0].position, Some(1));
    assert_eq!(archive.flush(epoch, prefix(5)).await.expect("nothing is stored")[0].position, Some(1));
    assert!(!archive.clean(epoch, shard, 0).await.unwrap(), "it is stored further than that");
}
