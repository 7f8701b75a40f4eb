//! Redis of several processes: Sentinels and Clusters.

use bytes::Bytes;
use holdfast_testkit::{Fault, FaultProxy, RedisCluster, RedisSentinel};
use uuid::Uuid;

use super::*;
use crate::{
    domain::{Epochs, Value, Vector, Writer},
    place::Move,
};

/// Fills a record that is not in the store and writes it; the write's place.
pub(super) async fn write(place: &RedisPlace, index: usize, key: &str) -> Seq {
    let address = Address::new("acme", "n", "p", key).unwrap();
    let ticket = place.tickets(shard(index), EPOCH, std::slice::from_ref(&address)).await.unwrap().remove(0);
    place.install(shard(index), EPOCH, &[(address.clone(), ticket, None)]).await.unwrap();
    let edition = Edition {
        record: 0,
        seq: 0,
        previous: 0,
        revision: 1,
        vector: Vector::default().next(&Epochs::new(EPOCH)),
        value: Some(Value { data: Bytes::from_static(b"v"), content_type: "".into() }),
        writer: Writer { write_id: Uuid::nil(), invocation_id: "".into(), time: 0 },
        blind: false,
        expires: None,
    };
    let moves = vec![Move { address, expected: 0, edition }];
    let moves = Moves {
        moves,
        guard: None,
        fence: None,
        cached: false,
        window_writes: 0,
        window_bytes: 0,
        window_age: std::time::Duration::ZERO,
        unstored_bytes: u64::MAX >> 12,
    };
    match place.take(shard(index), EPOCH, &moves).await.unwrap() {
        Taken::Taken(places) => places[0],
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_cluster_is_a_place() {
    let cluster = RedisCluster::start().await;
    let settings = settings(&format!("{:?}", cluster.urls()), "");
    conforms(&settings).await;
    let place = accepted(&settings).await;
    for shard in ShardId::all() {
        place.open(shard, EPOCH, 5).await.unwrap();
        assert_eq!(place.standing(shard, EPOCH).await.unwrap().stored, 5);
    }
}

#[tokio::test]
async fn one_new_node_of_a_cluster_is_another_life_of_all() {
    let mut cluster = RedisCluster::start().await;
    let place = accepted(&settings(&format!("{:?}", cluster.urls()), "")).await;
    for shard in ShardId::all() {
        place.open(shard, EPOCH, 5).await.unwrap();
    }
    let before = place.identity().await.unwrap();
    cluster.nodes()[1].restart().await;
    let now = loop {
        if let Ok(now) = place.identity().await {
            break now;
        }
        tokio::task::yield_now().await;
    };
    assert_ne!(now, before);
    for shard in ShardId::all() {
        assert!(matches!(place.standing(shard, EPOCH).await, Err(Trouble::Closed)));
    }
}

#[tokio::test]
async fn a_slot_that_moved_is_found_again() {
    let mut cluster = RedisCluster::start().await;
    let urls = cluster.urls();
    let place = accepted(&settings(&format!("{urls:?}"), "")).await;
    let slot = place.keys.slot(shard(3));
    let mut ids = Vec::new();
    for node in cluster.nodes() {
        let said = node.command("CLUSTER MYID").await.unwrap();
        ids.push(said.lines().nth(1).unwrap().to_owned());
    }
    let to = (usize::from(slot) * 3 / 16_384 + 1) % 3;
    for node in cluster.nodes() {
        let moved = node.command(&format!("CLUSTER SETSLOT {slot} NODE {}", ids[to])).await.unwrap();
        assert_eq!(moved, "+OK\r\n");
    }
    place.open(shard(3), EPOCH, 5).await.unwrap();
    assert_eq!(place.standing(shard(3), EPOCH).await.unwrap().stored, 5);
}

#[tokio::test]
async fn a_replica_without_the_newest_writes_is_another_life_with_a_shorter_log() {
    let mut master = Redis::start().await;
    let line = FaultProxy::to(master.address()).await;
    let mut replica = Redis::start_replica(line.address()).await;
    let mut sentinel = RedisSentinel::start(&master).await;
    let place = accepted(&settings(&format!("{:?}", sentinel.url()), "timeout = \"500ms\"")).await;
    place.open(shard(3), EPOCH, 5).await.unwrap();
    let first = write(&place, 3, "kept").await;
    replica.has(&format!("{{hf:03}}:{EPOCH}:log")).await;
    line.set(Fault::Stall);
    let second = write(&place, 3, "lost").await;
    assert_eq!(place.standing(shard(3), EPOCH).await.unwrap().decided, second);
    master.kill().await;
    sentinel.names(&replica).await;
    let now = loop {
        if let Ok(now) = place.identity().await {
            break now;
        }
        tokio::task::yield_now().await;
    };
    assert!(matches!(place.standing(shard(3), EPOCH).await, Err(Trouble::Closed)));
    place.accept(&now);
    let left = place.survivors(shard(3), EPOCH, 5, 1 << 20).await.unwrap().entries;
    let places: Vec<_> = left.iter().flat_map(|entry| &entry.editions).map(|(_, edition)| edition.seq).collect();
    assert_eq!(places, [first], "a prefix, without the newest");
    assert!(matches!(place.standing(shard(3), EPOCH).await, Err(Trouble::Closed)), "and nothing comes behind it");
}

#[tokio::test]
async fn a_master_goes_on_while_no_sentinel_answers() {
    let master = Redis::start().await;
    let _replica = Redis::start_replica(master.address()).await;
    let sentinel = RedisSentinel::start(&master).await;
    let place = accepted(&settings(&format!("{:?}", sentinel.url()), "")).await;
    let before = place.identity().await.unwrap();
    place.open(shard(3), EPOCH, 5).await.unwrap();
    drop(sentinel);
    assert_eq!(place.identity().await.unwrap(), before);
    assert_eq!(place.standing(shard(3), EPOCH).await.unwrap().stored, 5);
}
