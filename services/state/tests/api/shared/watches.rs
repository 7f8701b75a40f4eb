//! Watches at one process of what others write, and what expires under the eyes of several.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, future::join_all};
use holdfast_rpc::time::now_micros;
use holdfast_state::{
    State,
    domain::{Micros, Partition, Precondition, Value},
    expiry,
    watch::{Start, WatchFrom},
    write::{Command, Durability, Write},
};
use tokio::time::timeout;

use super::Several;

/// What is to come comes within this time, or the test fails.
const SOON: Duration = Duration::from_secs(20);

fn partition(name: &str) -> Partition {
    Partition::new("acme", "farms", name).expect("names")
}

async fn put(state: &State, partition: &Partition, key: &str, n: usize, expires: Option<Micros>) {
    let value = Some(Value { data: n.to_string().into(), content_type: "".into() });
    let write = Write { address: partition.record(key), precondition: Precondition::Overwrite, value, expires };
    let command = Command {
        writes: vec![write],
        guard: None,
        write_id: None,
        invocation_id: "".into(),
        durability: Durability::Durable,
        now: now_micros(),
    };
    state.write(&command, None).await.expect("nothing speaks against it");
}

#[tokio::test]
async fn a_watch_misses_nothing_of_what_other_processes_write() {
    const EACH: usize = 150;
    let several = Several::start(3).await;
    let watched = partition("F-1");
    let from = WatchFrom { partition: watched.clone(), record: None, start: Start::Now };
    let mut changes = several.turn(0).state.watch(from).await.expect("from now on").boxed();
    assert!(changes.next().await.expect("no end").expect("no trouble").change.is_none());
    let writers = join_all((0..6).map(|writer| {
        let (state, watched) = (several.turn(writer).state.clone(), watched.clone());
        async move {
            for n in 0..EACH {
                put(&state, &watched, &writer.to_string(), n, None).await;
            }
        }
    }));
    let reader = async {
        let mut seen = [0; 6];
        while seen.iter().sum::<usize>() < 6 * EACH {
            let message = timeout(SOON, changes.next()).await.expect("it comes").expect("no end").expect("no trouble");
            let Some((address, edition)) = message.change else { continue };
            let writer: usize = address.key().parse().expect("a number");
            let value = edition.value.as_ref().expect("nothing is deleted");
            assert_eq!(value.data, seen[writer].to_string(), "each once, in order");
            seen[writer] += 1;
        }
    };
    tokio::join!(writers, reader);
}

#[tokio::test]
async fn what_expires_is_deleted_once_whichever_process_does_it() {
    let several = Several::start(2).await;
    let now = now_micros();
    for n in 0..40 {
        put(&several.turn(n).state, &partition(&n.to_string()), "over", n, Some(now - 1)).await;
        put(&several.turn(n).state, &partition(&n.to_string()), "stays", n, Some(now + 3_600_000_000)).await;
    }
    let duties = several.processes.iter().map(|process| {
        let decider = Arc::clone(process.state.decider());
        async move { expiry::all(&decider, now).await.expect("the database is there") }
    });
    assert!(join_all(duties).await.iter().sum::<usize>() <= 40);
    for n in 0..40 {
        let [over, stays] = ["over", "stays"].map(|key| partition(&n.to_string()).record(key));
        let found = several.turn(n).state.decider().get(&[over, stays]).await.expect("the database is there");
        let [Some(over), Some(stays)] = &found[..] else { panic!("a tombstone, and a record: {found:?}") };
        assert_eq!((over.is_live(), over.revision, stays.is_live()), (false, 2, true));
    }
}
