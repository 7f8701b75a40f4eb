//! What a Redis takes is bounded.

use bytes::Bytes;
use futures::future::join_all;

use super::*;
use crate::{
    domain::{Epochs, Value, Vector, Writer},
    place::Seen,
};

const RECORDS: usize = 100_000;

#[tokio::test]
async fn a_hundred_thousand_records_take_their_share_of_memory() {
    let redis = Redis::start_with(&["--appendonly", "no"]).await;
    let empty = used(&redis).await;
    let place = accepted(&settings(
        &format!("{:?}", redis.url()),
        "cache = \"16MiB\"\ntimeout = \"20s\"\ngone_after = \"30s\"",
    ))
    .await;
    join_all(ShardId::all().map(|shard| place.open(shard, EPOCH, 9))).await;
    let edition = Arc::new(Edition {
        record: 1,
        seq: 1,
        previous: 0,
        revision: 1,
        vector: Vector::default().next(&Epochs::new(EPOCH)),
        value: Some(Value { data: Bytes::from(vec![b'v'; 300]), content_type: "".into() }),
        writer: Writer { write_id: uuid::Uuid::nil(), invocation_id: "".into(), time: 0 },
        blind: false,
        expires: None,
    });
    let fill = async |shard: ShardId| {
        let all: Vec<_> =
            (0..RECORDS / SHARDS + 1).map(|n| Address::new("t", "n", "p", &format!("{n:06}")).unwrap()).collect();
        for some in all.chunks(100) {
            let tickets = place.tickets(shard, EPOCH, some).await.unwrap();
            let found = some.iter().cloned().zip(tickets).map(|(at, ticket)| (at, ticket, Some(Arc::clone(&edition))));
            place.install(shard, EPOCH, &found.collect::<Vec<_>>()).await.unwrap();
        }
        let seen = place.look(shard, EPOCH, &all).await.unwrap();
        seen.iter().filter(|seen| matches!(seen, Seen::Here { .. })).count()
    };
    let here: usize = join_all(ShardId::all().map(fill)).await.into_iter().sum();
    let took = used(&redis).await - empty;
    eprintln!("{here} of {RECORDS} records are there, and take {took} bytes");
    assert!((20_000..60_000).contains(&here), "{here}");
    assert!(took < 24 << 20, "{took}");
}

async fn used(redis: &Redis) -> usize {
    let said = redis.command("INFO memory").await.unwrap();
    let line = said.lines().find_map(|line| line.strip_prefix("used_memory_dataset:")).unwrap();
    line.trim().parse().unwrap()
}
