use std::time::Duration;

use futures::future::{join_all, try_join_all};
use holdfast_testkit::Postgres as Server;
use sqlx::Executor as _;
use tokio::time::timeout;

use super::*;
use crate::{domain::SHARDS, place::Identity};

/// Longer than a query takes, and shorter than the server waits before it ends a circle of waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// An archive in whose schema a Redis decides, and a connection beside it.
async fn archive(server: &Server) -> (InPostgres, PgConnection, EpochId) {
    let archive = InPostgres::new(Store::open_in(&server.url(), "s", 1_000).await.unwrap());
    let beside = archive.store.database().connect().await.unwrap();
    let before = archive.deciding().await.unwrap().epoch;
    let to = Who::Place(Identity("one".into()));
    let switched = archive.switch(before, to, Box::new(|_, _| async { Ok(()) }.boxed())).await.unwrap().unwrap();
    (archive, beside, switched.epoch)
}

fn holder(number: u64, lease: &str) -> Holder {
    Holder { scope: FenceScope { tenant: "t".into(), name: "session:s".into() }, number, lease: lease.into() }
}

#[tokio::test]
async fn what_is_refused_leaves_nothing_locked() {
    let server = Server::start().await;
    let (archive, mut beside, epoch) = archive(&server).await;
    let (ended, shard) = (EpochId(epoch.0 ^ 1), ShardId::all().next().unwrap());
    archive.confirm_fence(epoch, &holder(5, "a"), None).await.unwrap().unwrap().unwrap();
    let mut is_free = async |what: &str| {
        for table in ["deciders", "fences", "shards"] {
            let lock = format!("SELECT FROM {table} FOR UPDATE NOWAIT");
            beside
                .execute(sqlx::raw_sql(sqlx::AssertSqlSafe(lock)))
                .await
                .unwrap_or_else(|why| panic!("{what}: {why}"));
        }
    };
    let prefix = || vec![Prefix { shard, after: 0, entries: Vec::new(), marks: None }];
    assert!(matches!(archive.flush(ended, prefix()).await, Err(Unflushed::Ended)));
    is_free("a flush of an epoch that is over").await;
    assert!(archive.confirm_fence(ended, &holder(6, "b"), None).await.unwrap().is_none());
    is_free("a fence of an epoch that is over").await;
    let refused = archive.confirm_fence(epoch, &holder(4, "b"), Some(shard)).await.unwrap().unwrap();
    assert_eq!(refused, Err(Standing::Superseded));
    is_free("a fence that is superseded").await;
    assert!(archive.raise_fence(ended, &holder(0, "").scope, 5).await.unwrap().is_none());
    is_free("a raise in an epoch that is over").await;
    let open: Open<'_> = Box::new(|_, _| async { panic!("it is not begun") }.boxed());
    assert!(archive.switch(ended, Who::Store, open).await.unwrap().is_none());
    is_free("a change of an epoch that is over").await;
}

#[tokio::test]
async fn connections_that_died_unused_fail_no_call() {
    let server = Server::start().await;
    let (archive, mut beside, epoch) = archive(&server).await;
    // As many at once leave as many spare ones.
    try_join_all((0..4).map(|_| archive.deciding())).await.unwrap();
    assert!(archive.spare.lock().len() > 1);
    let others = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'";
    let end = format!("SELECT count(pg_terminate_backend(pid)) {others}");
    sqlx::query(sqlx::AssertSqlSafe(end)).execute(&mut beside).await.unwrap();
    let left = format!("SELECT count(*) {others}");
    let gone = async {
        while sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(left.as_str())).fetch_one(&mut beside).await.unwrap() > 0
        {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, gone).await.expect("they end");
    assert_eq!(archive.deciding().await.unwrap().shards.len(), SHARDS);
    archive.confirm_fence(epoch, &holder(5, "a"), None).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn calls_with_one_new_token_do_not_wait_for_each_other_in_a_circle() {
    let server = Server::start().await;
    let (archive, _, epoch) = archive(&server).await;
    for number in 1..=20 {
        let holder = holder(number, "a");
        let shards: Vec<_> = ShardId::all().take(4).collect();
        let confirmed = join_all(shards.iter().map(|shard| archive.confirm_fence(epoch, &holder, Some(*shard)))).await;
        for confirmed in confirmed {
            confirmed.expect("nobody waits in a circle").unwrap().expect("it counts");
        }
    }
}
