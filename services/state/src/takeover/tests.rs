//! A Redis is taken out of the configuration.

use bytes::Bytes;
use holdfast_testkit as testkit;
use tokio::time::timeout;
use uuid::Uuid;

use super::*;
use crate::{
    config::Config,
    decider::Decider,
    domain::{Address, Precondition, ShardId, Value},
    failed::Failed,
    place::Identity,
    store::{Bound, postgres::tables},
    write::{Command, Durability, Write},
};

const PATIENCE: Duration = Duration::from_secs(15);

fn command() -> Command {
    let value = Value { data: Bytes::from_static(b"v"), content_type: "".into() };
    let address = Address::new("acme", "n", "p", "k").unwrap();
    Command {
        writes: vec![Write { address, precondition: Precondition::Overwrite, value: Some(value), expires: None }],
        guard: None,
        write_id: Some(Uuid::now_v7()),
        invocation_id: "".into(),
        durability: Durability::Durable,
        now: 0,
    }
}

#[tokio::test]
async fn a_redis_that_is_not_named_any_more_gives_way_to_the_database() {
    let server = testkit::Postgres::start().await;
    let place = Postgres::join(&server.url(), &Config::default()).await.expect("the database is there");
    let mut connection = place.store().database().connect().await.unwrap();
    let gone = Who::Redis { identity: Identity("taken out".into()) };
    let epoch = EpochId(7);
    let before = place.store().deciding().await.unwrap().epoch;
    deciding::switch(&mut connection, before, (epoch, &gone), false, 1_000).await.unwrap();
    let shard = ShardId::all().next().unwrap();
    let bound = Bound { writes: 3, bytes: 30 };
    tables::mark(&mut connection, shard, epoch, Some(bound)).await.unwrap();
    assert!(matches!(place.write(&command(), None).await, Err(Failed::Elsewhere)));

    let stop = Stop::new();
    let moments = (Duration::from_millis(200), Duration::from_millis(100));
    let takeover = tokio::spawn(Takeover::of(&place, moments.0, moments.1).run(stop.clone()));
    let decided = timeout(PATIENCE, async {
        loop {
            match place.write(&command(), None).await {
                Ok(_) => return,
                Err(Failed::Elsewhere) => tokio::task::yield_now().await,
                Err(other) => panic!("{other:?}"),
            }
        }
    });
    decided.await.expect("the database decides by now");
    let known = place.store().deciding().await.unwrap();
    let lost = known.losses.iter().find(|lost| lost.ended.epoch == epoch).expect("a shard was dirty");
    assert_eq!((lost.shards.as_slice(), lost.bound), ([shard].as_slice(), bound));
    stop.cancel();
    takeover.await.unwrap();
}
