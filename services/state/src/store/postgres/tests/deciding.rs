//! Who decides: found, changed, and ended where another server answers.

use std::time::Duration;

use super::*;
use crate::domain::ShardId;
use crate::store::Bound;
use crate::store::conformance::{at, change, take, writes};

#[tokio::test]
async fn processes_that_start_together_find_one_epoch() {
    let server = Server::start().await;
    let url = server.url();
    let all = (0..6).map(|_| Process::start(&url, "s"));
    let mut processes = futures::future::join_all(all).await;
    let first = processes[0].known.epoch;
    assert!(processes.iter().all(|process| process.known.epoch == first && process.known.same_server));
    assert_eq!(processes[0].ask::<i64>("SELECT count(*) FROM epochs").await, 1);
    assert_eq!(processes[0].ask::<i64>("SELECT count(*) FROM shards").await, 64);
    let shards: Vec<_> = ShardId::all().collect();
    let rows = tables::read_shards(&mut processes[1].connection, &shards).await.unwrap();
    assert!(rows.iter().all(|row| row.epoch == first && row.who == Decides::Postgres && row.same_server));
}

#[tokio::test]
async fn of_two_who_change_the_decider_one_does() {
    let server = Server::start().await;
    let mut ours = Process::start(&server.url(), "s").await;
    let mut theirs = Process::start(&server.url(), "s").await;
    let seen = ours.known.epoch;
    let (here, there) = tokio::join!(ours.switch(redis("a"), false), theirs.switch(redis("b"), false));
    assert_ne!(here.ours, there.ours);
    assert_eq!(here.deciding.epoch, there.deciding.epoch);
    assert_eq!(here.deciding.who, there.deciding.who);
    assert!(here.deciding.epochs.is_folded(seen) && here.lost.is_none());
    assert!(!decider::begin_draining(&mut ours.connection, seen).await.unwrap(), "that epoch is over");
    assert!(decider::begin_draining(&mut ours.connection, here.deciding.epoch).await.unwrap());
    assert!(theirs.learn().await.draining);
    ours.switch(Who::Postgres, false).await;
    let found = theirs.learn().await;
    assert_eq!((found.draining, &found.who), (false, &Who::Postgres));
}

#[tokio::test]
async fn an_epoch_that_ends_with_loss_says_how_much_at_most() {
    let server = Server::start().await;
    let mut process = Process::start(&server.url(), "s").await;
    process.switch(redis("a"), false).await;
    let epoch = process.known.epoch;
    let bound = Bound { writes: 3, bytes: 30 };
    let shards: Vec<_> = ShardId::all().skip(5).take(2).collect();
    for shard in &shards {
        let marked = tables::mark(&mut process.connection, *shard, epoch, Some(bound)).await.unwrap();
        assert_eq!(marked, Some(0));
    }
    let lost = process.switch(redis("b"), true).await.lost.expect("it was dirty");
    assert_eq!((lost.ended.epoch, lost.shards, lost.bound), (epoch, shards.clone(), Bound { writes: 6, bytes: 60 }));
    assert!(process.known.epochs.due(3_000).contains(&epoch), "its versions are told apart until then");
    let later = Process::start(&server.url(), "s").await.known;
    let told: Vec<_> = later.losses.iter().map(|lost| (lost.ended.epoch, &lost.shards, lost.bound)).collect();
    assert_eq!(told, [(epoch, &shards, Bound { writes: 6, bytes: 60 })], "whoever ended it may be dead");
    let rows = tables::read_shards(&mut process.connection, &shards).await.unwrap();
    assert!(rows.iter().all(|row| row.dirty.is_none() && row.who == Decides::Redis));
}

#[tokio::test]
async fn the_longest_lease_of_an_epoch_is_known_to_whoever_ends_it() {
    let server = Server::start().await;
    let mut process = Process::start(&server.url(), "s").await;
    process.switch(redis("a"), false).await;
    let epoch = process.known.epoch;
    for (seconds, longest) in [(4, 4), (20, 20), (2, 20)] {
        let connection = &mut process.connection;
        assert!(decider::raise_lease(connection, epoch, Duration::from_secs(seconds)).await.unwrap());
        assert_eq!(process.learn().await.lease, Duration::from_secs(longest));
    }
    assert!(decider::begin_draining(&mut process.connection, epoch).await.unwrap());
    let late = decider::raise_lease(&mut process.connection, epoch, Duration::from_secs(60)).await.unwrap();
    assert_eq!((late, process.learn().await.lease), (false, Duration::from_secs(20)), "its wait has begun");
    process.switch(redis("b"), false).await;
    assert_eq!(process.known.lease, Duration::ZERO);
}

/// Makes the rows say that the epoch began elsewhere: the same as a server that took over.
async fn move_server(process: &mut Process, what: &str) {
    let sql = format!("UPDATE deciders SET {what} = {what} + 1");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut process.connection).await.unwrap();
}

#[tokio::test]
async fn another_server_or_timeline_ends_the_epoch_with_loss() {
    let server = Server::start().await;
    let mut process = Process::start(&server.url(), "s").await;
    for what in ["server", "timeline"] {
        let before = process.learn().await.epoch;
        move_server(&mut process, what).await;
        assert!(!process.learn().await.same_server);
        let next = Process::start(&server.url(), "s").await;
        assert!(next.known.same_server);
        assert_ne!(next.known.epoch, before);
        assert!(next.known.epochs.due(i64::MAX).contains(&before), "as one that ended with loss");
        process.learn().await;
    }
}

#[tokio::test]
async fn nothing_is_decided_on_a_server_that_took_over() {
    let server = Server::start().await;
    let mut process = Process::start(&server.url(), "s").await;
    take(&mut process, [change("k", 1, 1, 0, Some("v"))]).await;
    // One that was restored from a copy may have the same timeline.
    for what in ["timeline", "server"] {
        move_server(&mut process, what).await;
        let rows = tables::read_shards(&mut process.connection, &[partition().shard()]).await.unwrap();
        assert!(!rows[0].same_server, "{what}");
        let late = writes([change("k", 1, 2, 1, Some("v"))]);
        process.try_flush(1, &late).await.unwrap_err();
        let read = tables::load_if(&mut process.connection, &process.known, &[at("k")]).await.unwrap();
        assert_eq!(read, None, "{what}");
        sqlx::raw_sql(AssertSqlSafe(format!("UPDATE deciders SET {what} = {what} - 1")))
            .execute(&mut process.connection)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_restarted_server_goes_on_in_its_epoch() {
    let mut server = Server::start().await;
    let process = Process::start(&server.url(), "s").await;
    server.restart().await;
    let again = Process::start(&server.url(), "s").await;
    assert_eq!((again.known.epoch, again.known.same_server), (process.known.epoch, true));
}

#[tokio::test]
async fn a_user_without_rights_over_the_server_can_be_given_the_schema() {
    let server = Server::start().await;
    let process = Process::start(&server.url(), "s").await;
    let grant = "CREATE ROLE plain LOGIN; GRANT CREATE ON DATABASE postgres TO plain";
    sqlx::raw_sql(grant).execute(&mut { process.connection }).await.unwrap();
    let plain = Process::start(&server.url().replace("holdfast@", "plain@"), "theirs").await;
    assert!(plain.known.same_server);
}
