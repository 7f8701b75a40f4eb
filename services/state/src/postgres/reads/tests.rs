use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use futures::FutureExt as _;
use holdfast_testkit::Postgres as Server;

use super::*;
use crate::{
    config::Config,
    domain::{EpochId, Partition},
    place::Identity,
    store::postgres::{
        Store,
        deciding::{self, Who},
    },
};

async fn switch(store: &Store, from: EpochId, to: &Who) -> EpochId {
    let next = EpochId(rand::random());
    let mut connection = store.database().connect().await.unwrap();
    deciding::switch(&mut connection, from, (next, to), false, 2_000).await.unwrap();
    next
}

#[tokio::test]
async fn what_was_read_while_another_place_decided_is_read_again() {
    let server = Server::start().await;
    let store = Store::open_in(&server.url(), "s", 1_000).await.unwrap();
    let decides = Postgres::over(store.clone(), &Config::default()).await.unwrap();
    let shard = Partition::new("t", "n", "p").expect("a name").shard();
    let (reads, store) = (AtomicUsize::new(0), &store);
    let epoch = decides.knowledge().epoch;
    // The first read is of before: a Redis decides meanwhile, and the database again by the time of the answer.
    let read = |_: &dyn crate::store::Shelf| {
        async {
            let read = reads.fetch_add(1, Relaxed) + 1;
            if read == 1 {
                let redis = Who::Redis { identity: Identity("one".into()) };
                let between = switch(store, epoch, &redis).await;
                switch(store, between, &Who::Postgres).await;
            }
            Ok(read)
        }
        .boxed()
    };
    assert_eq!(decides.of_shelf(shard, read).await.expect("it decides"), 2);
}
