//! What a page does not show is as true as what it shows.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::{sleep, timeout};

use super::{
    store::Desk,
    world::{Running, World},
};
use crate::{
    decider::Decider as _,
    domain::{Address, Edition, EpochId, Precondition, Value},
    place::{Logged, Move, Moves, Place as _, Taken},
    redis::{
        archive::{Archive as _, Prefix},
        engine::Engine,
    },
    store::PageQuery,
    write::{Command, Durability, Write},
};

const ROUNDS: u64 = 60;
const PATIENCE: Duration = Duration::from_secs(15);

async fn until_in_place(process: &Running) -> EpochId {
    let lease = &process.decider.engine.lease;
    loop {
        let news = lease.news();
        match lease.current() {
            Some(known) if Engine::in_place(&known) => return known.epoch,
            _ => news.await,
        }
    }
}

async fn put(process: &Running, at: &Address) -> Arc<Edition> {
    let value = Value { data: Bytes::from_static(b"v"), content_type: "".into() };
    let write = Write { address: at.clone(), precondition: Precondition::Overwrite, value: Some(value), expires: None };
    let command = Command {
        writes: vec![write],
        guard: None,
        write_id: None,
        invocation_id: "".into(),
        durability: Durability::Durable,
        now: 0,
    };
    process.decider.write(&command, None).await.expect("nothing is wrong");
    read(process, at).await.expect("it is there")
}

async fn read(process: &Running, at: &Address) -> Option<Arc<Edition>> {
    let found = process.decider.get(std::slice::from_ref(at)).await.expect("nothing is wrong").remove(0);
    found.filter(|edition| edition.is_live())
}

/// Takes and stores a deletion as a process does that dies before it marks it.
async fn delete_unmarked(process: &Running, desk: &Desk, epoch: EpochId, (at, before): (&Address, &Edition)) {
    let tombstone = Edition { value: None, revision: before.revision + 1, previous: before.seq, ..before.clone() };
    let made = Move { address: at.clone(), expected: before.seq, edition: tombstone.clone() };
    let moves = Moves {
        moves: vec![made],
        guard: None,
        fence: None,
        cached: false,
        window_writes: 9,
        window_bytes: 9,
        window_age: Duration::ZERO,
        unstored_bytes: 1 << 20,
    };
    let shard = at.shard();
    let Ok(Taken::Taken(places)) = process.wire.take(shard, epoch, &moves).await else { panic!("nothing has changed") };
    let editions = vec![(at.clone(), Arc::new(Edition { seq: places[0], ..tombstone }))];
    let entries = vec![Logged { editions, cached: false }];
    let flushed = desk.flush(epoch, vec![Prefix { shard, after: before.seq, entries, marks: None }]).await;
    flushed.expect("the store is there");
}

#[tokio::test(start_paused = true)]
async fn a_record_that_a_list_does_not_show_is_not_seen_again() {
    let world = World::new(0, None);
    world.shared.over.store(true, Relaxed);
    let (one, other) = (world.start(), world.start());
    let epoch = timeout(PATIENCE, until_in_place(&one)).await.expect("the place decides by now");
    let desk = Desk { shared: Arc::clone(&world.shared), life: Arc::clone(&other.life) };
    let at = world.shared.addresses[0].clone();
    let query = PageQuery {
        partition: at.in_partition(),
        prefix: String::new(),
        after: String::new(),
        records: 9,
        bytes: 1 << 20,
    };
    let mut deleted = 0;
    for round in 0..ROUNDS {
        let before = put(&one, &at).await;
        let listing = async {
            let page = one.decider.list(query.clone()).await.expect("nothing is wrong");
            (page.records.is_empty(), read(&one, &at).await)
        };
        // Between any two steps of the list.
        let deleting = async {
            sleep(Duration::from_millis(round % 20)).await;
            delete_unmarked(&other, &desk, epoch, (&at, &before)).await;
        };
        let ((is_gone, read), ()) = tokio::join!(listing, deleting);
        assert!(!is_gone || read.is_none(), "round {round}: {read:?}");
        deleted += u64::from(is_gone);
        one.decider.sync(&query.partition).await.expect("nothing is wrong");
    }
    assert!((1..ROUNDS).contains(&deleted), "{deleted}");
}
