//! A process that stands still in the middle of a transaction, played by a session of the test's own.

use futures::{StreamExt as _, stream::FuturesUnordered};
use holdfast_state::domain::{Partition, ShardId};
use sqlx::{Connection as _, PgConnection};
use tonic::{Code, Status};

use super::Several;
use crate::harness::*;

const SHARD: &str = "SELECT shard FROM holdfast_state.records WHERE key = 'stuck'";

async fn session(state: &Several) -> PgConnection {
    PgConnection::connect(&state.server.url()).await.expect("the server is there")
}

async fn say(session: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(session).await.expect("it can be said");
}

fn shard(partition: &str) -> ShardId {
    Partition::new("acme", "accounts", partition).unwrap().shard()
}

fn elsewhere(n: usize) -> holdfast_proto::state::v1::PutRequest {
    let mut put = put("k", "1", None);
    put.address.as_mut().unwrap().partition = format!("P-{n}");
    put
}

#[tokio::test]
async fn a_paused_transaction_delays_its_own_shard_only() {
    let state = Several::start(1).await;
    let one = state.turn(0);
    let at = one.make("stuck", "1").await;
    let mut paused = session(&state).await;
    say(&mut paused, "BEGIN").await;
    say(&mut paused, &format!("SELECT FROM holdfast_state.shards WHERE shard = ({SHARD}) FOR UPDATE")).await;
    let mut stuck = Box::pin(one.put(put("stuck", "2", Some(&at))));
    // Half of them take the same lane.
    for n in (0..64).filter(|n| shard(&format!("P-{n}")) != shard("C-1")) {
        tokio::select! {
            written = one.put(elsewhere(n)) => drop(written.expect("its shard is free")),
            early = &mut stuck => panic!("its shard is held: {early:?}"),
        }
    }
    say(&mut paused, "ROLLBACK").await;
    assert_eq!(stuck.await.unwrap().revision, 2);
}

#[tokio::test]
async fn a_process_that_was_paused_before_its_commit_undoes_nothing() {
    let state = Several::start(2).await;
    let at = state.turn(0).make("stuck", "1").await;
    let mut paused = session(&state).await;
    say(&mut paused, "BEGIN").await;
    say(&mut paused, &format!("SELECT FROM holdfast_state.shards WHERE shard = ({SHARD}) FOR UPDATE")).await;
    // The server ends a transaction that stands still; this one is ended by hand.
    let write = state.turn(1).put(put("stuck", "2", Some(&at)));
    let end = async {
        let mut other = session(&state).await;
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'holdfast-state' \
                     AND wait_event_type = 'Lock'";
        while sqlx::query_scalar::<_, i64>(waits).fetch_one(&mut other).await.unwrap() == 0 {}
        say(
            &mut other,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction' \
                         AND query LIKE '%FOR UPDATE%'",
        )
        .await;
    };
    let (written, ()) = tokio::join!(write, end);
    let second = written.unwrap();
    assert!(sqlx::raw_sql("COMMIT").execute(&mut paused).await.is_err(), "it finds itself gone");
    let record = state.turn(0).get("stuck").await.unwrap();
    assert_eq!((data(&record).as_str(), &record.version), ("2", &second.version));
}

#[tokio::test]
async fn past_what_may_wait_writes_are_refused_with_a_hint() {
    let mut config = holdfast_state::Config::default();
    config.waiting.writes_max = 4;
    let state = Several::with(1, config).await;
    let one = state.turn(0);
    one.make("stuck", "1").await;
    let mut paused = session(&state).await;
    say(&mut paused, "BEGIN").await;
    say(&mut paused, &format!("SELECT FROM holdfast_state.shards WHERE shard = ({SHARD}) FOR UPDATE")).await;
    let mut writes: FuturesUnordered<_> = (0..12).map(|n| one.put(put(&n.to_string(), "1", None))).collect();
    let is_told_when = |refused: &Status| {
        assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
        assert!(holdfast_rpc::status::retry_after(refused).is_some());
    };
    // While the shard is held, only who is refused is answered.
    for _ in 0..8 {
        is_told_when(&writes.next().await.expect("twelve writes").unwrap_err());
    }
    say(&mut paused, "ROLLBACK").await;
    let rest: Vec<_> = writes.collect().await;
    assert!(rest.len() == 4 && rest.iter().all(Result::is_ok), "who waited keeps its place: {rest:?}");
}
