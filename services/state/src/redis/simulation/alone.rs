//! One trouble at a time, each with what has to hold after it.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::{sleep, timeout};

use super::world::{Running, World};
use crate::{
    decider::Decider as _,
    domain::{Address, EpochId, Precondition, Value},
    failed::Failed,
    place::model::Model,
    redis::engine::Engine,
    write::{Command, Durability, Written},
};

/// Longer than any change of who decides takes here.
const PATIENCE: Duration = Duration::from_secs(15);

/// A world in which nothing goes wrong by itself.
fn calm() -> World {
    let mut world = World::new(0, None);
    // With room for all records.
    Arc::get_mut(&mut world.shared).expect("nobody else has it").place = Model::new(1 << 20);
    world.shared.over.store(true, Relaxed);
    world
}

fn at(partition: &str) -> Address {
    Address::new("t", "n", partition, "a").expect("a name")
}

/// Partitions of two shards that one lane has.
fn neighbours() -> (Address, Address) {
    let (one, lanes) = (at("p1"), super::settings().lanes);
    let near = |other: &Address| {
        let (one, other) = (one.shard().index(), other.shard().index());
        one != other && one % lanes == other % lanes
    };
    let other = (2..).map(|n| at(&format!("p{n}"))).find(near).expect("there are many");
    (one, other)
}

impl Running {
    /// Waits until the place decides, in another epoch than this.
    async fn until_in_place(&self, not: Option<EpochId>) -> EpochId {
        let lease = &self.decider.engine.lease;
        let known = async {
            loop {
                let news = lease.news();
                match lease.current() {
                    Some(known) if Engine::in_place(&known) && Some(known.epoch) != not => return known.epoch,
                    _ => news.await,
                }
            }
        };
        timeout(PATIENCE, known).await.expect("the place decides by now")
    }

    async fn write(&self, at: &Address, durability: Durability) -> Result<Written, Failed> {
        self.overwrite(at, Bytes::from_static(b"v"), durability).await
    }

    async fn write_value(&self, at: &Address, data: Bytes) -> Result<Written, Failed> {
        self.overwrite(at, data, Durability::Durable).await
    }

    /// A write is decided, and the store is away.
    async fn fails_to_store(&self, world: &World) {
        self.write(&at("p1"), Durability::Durable).await.expect("it is stored");
        world.shared.store_away.store(true, Relaxed);
        match self.write(&at("p1"), Durability::Durable).await {
            Err(Failed::Store(unstored)) => assert!(unstored.in_doubt, "it is decided: {unstored:?}"),
            other => panic!("{other:?}"),
        }
    }

    async fn overwrite(&self, at: &Address, data: Bytes, durability: Durability) -> Result<Written, Failed> {
        let value = Value { data, content_type: "".into() };
        let write = crate::write::Write {
            address: at.clone(),
            precondition: Precondition::Overwrite,
            value: Some(value),
            expires: None,
        };
        let command = Command {
            writes: vec![write],
            guard: None,
            // What is known by its id only would be looked for in the store.
            write_id: None,
            invocation_id: "".into(),
            durability,
            now: 0,
        };
        self.decider.write(&command, None).await
    }
}

#[tokio::test(start_paused = true)]
async fn durable_writes_go_on_when_another_has_stored_what_could_not_be() {
    let world = calm();
    let (one, other) = (world.start(), world.start());
    tokio::join!(one.until_in_place(None), other.until_in_place(None));
    one.fails_to_store(&world).await;
    one.life.stand_still(Duration::from_secs(1));
    world.shared.store_away.store(false, Relaxed);
    other.decider.sync(&at("p1").in_partition()).await.expect("the other stores it");
    sleep(Duration::from_secs(2)).await;
    one.write(&at("p1"), Durability::Durable).await.expect("it is stored");
}

#[tokio::test(start_paused = true)]
async fn durable_writes_go_on_in_the_next_epoch() {
    let world = calm();
    let one = world.start();
    let epoch = one.until_in_place(None).await;
    one.fails_to_store(&world).await;
    world.shared.place.replace();
    world.shared.store_away.store(false, Relaxed);
    one.until_in_place(Some(epoch)).await;
    one.write(&at("p1"), Durability::Durable).await.expect("it is stored");
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_the_store_refuses_holds_up_no_other() {
    let world = calm();
    let one = world.start();
    one.until_in_place(None).await;
    let (bad, good) = neighbours();
    *world.shared.refused.lock() = Some(bad.shard());
    for _ in 0..5 {
        let (bad, good) = tokio::join!(one.write(&bad, Durability::Durable), one.write(&good, Durability::Durable));
        bad.expect_err("the store refuses it");
        good.expect("the store has nothing against it");
    }
    *world.shared.refused.lock() = None;
    sleep(Duration::from_secs(2)).await;
    one.write(&bad, Durability::Durable).await.expect("it is refused no more");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_has_lost_what_was_stored_ends_the_epoch() {
    let world = calm();
    let one = world.start();
    let epoch = one.until_in_place(None).await;
    let shard = at("p1").shard();
    one.write(&at("p1"), Durability::Durable).await.expect("it is stored");
    {
        let mut kept = world.shared.kept.lock();
        kept.shards[shard.index()].position = 0;
        kept.rows.clear();
        kept.newest.clear();
    }
    let asked = at("p1");
    // What became of it is in doubt, or it waited for the next epoch.
    let _ = tokio::join!(one.write(&asked, Durability::Durable), one.until_in_place(Some(epoch)));
    one.write(&at("p1"), Durability::Durable).await.expect("the next epoch begins where the store is");
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_process_has_left_is_stored_though_nobody_asks_for_it() {
    let world = calm();
    let (one, other) = (world.start(), world.start());
    tokio::join!(one.until_in_place(None), other.until_in_place(None));
    one.fails_to_store(&world).await;
    one.life.die();
    world.shared.store_away.store(false, Relaxed);
    assert_eq!(world.shared.kept.lock().rows.len(), 1);
    let stored = async {
        while world.shared.kept.lock().rows.len() < 2 {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(PATIENCE, stored).await.expect("another stores it");
}

#[tokio::test(start_paused = true)]
async fn cached_writes_end_when_the_oldest_waits_for_too_long() {
    let world = calm();
    let one = world.start();
    one.until_in_place(None).await;
    one.write(&at("p1"), Durability::Cached).await.expect("it marks its shard");
    world.shared.store_away.store(true, Relaxed);
    let first = one.write(&at("p1"), Durability::Cached).await.expect("the place takes it");
    assert_eq!(first.durability, Durability::Cached);
    sleep(Duration::from_millis(1_100)).await;
    let late = one.write(&at("p1"), Durability::Cached).await;
    assert!(matches!(late, Err(Failed::Store(_))), "{late:?}");
    world.shared.store_away.store(false, Relaxed);
    one.decider.sync(&at("p1").in_partition()).await.expect("the store works again");
    let next = one.write(&at("p1"), Durability::Cached).await.expect("the place takes it");
    assert_eq!(next.durability, Durability::Cached);
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_bounded_in_bytes() {
    let world = calm();
    let one = world.start();
    one.until_in_place(None).await;
    let large = Bytes::from(vec![b'v'; 600 << 10]);
    let (first, second) = (at("p1"), at("p2"));
    let both = tokio::join!(one.write_value(&first, large.clone()), one.write_value(&second, large.clone()));
    assert!(both.0.is_ok() && matches!(both.1, Err(Failed::Full { .. })), "{both:?}");
    one.write_value(&second, large).await.expect("there is room again");
}
