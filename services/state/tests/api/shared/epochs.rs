//! A PostgreSQL that is not the one on which the epoch began.

use sqlx::{Connection as _, PgConnection};

use super::Several;
use crate::harness::*;

/// A server that took over without the newest write: what the tables say of timelines is what they would say there.
const TAKE_OVER: &str = "
    UPDATE holdfast_state.deciders SET timeline = timeline + 1;
    WITH lost AS (DELETE FROM holdfast_state.history WHERE revision = 2 RETURNING record, previous)
    UPDATE holdfast_state.records SET head = lost.previous, revision = 1 FROM lost WHERE id = lost.record;";

async fn say(state: &Several, sql: &'static str) {
    let mut session = PgConnection::connect(&state.server.url()).await.expect("the server is there");
    sqlx::raw_sql(sql).execute(&mut session).await.expect("it can be said");
}

#[tokio::test]
async fn a_server_that_lacks_acknowledged_writes_ends_the_epoch_before_anything_is_decided() {
    let state = Several::start(2).await;
    let first = state.turn(0).make("k", "1").await;
    let lost = state.turn(1).put(put("k", "2", Some(&first))).await.unwrap().version;
    let before = state.turn(0).postgres().knowledge().epoch;
    say(&state, TAKE_OVER).await;

    let next = state.turn(0).put(put("k", "other", Some(&first))).await.unwrap();
    assert_ne!(next.version, lost, "the lost write's version is not given again");
    for process in &state.processes {
        let told = loss(&process.put(put("k", "3", Some(&lost))).await.unwrap_err());
        assert_eq!(data(&told.current.unwrap()), "other");
        conflict(&process.put(put("k", "3", Some(&first))).await.unwrap_err());
        assert_ne!(process.postgres().knowledge().epoch, before);
    }
    assert_eq!(data(&state.turn(1).get("k").await.unwrap()), "other");
    let epochs = state.turn(0).ask("SELECT count(*) FROM epochs WHERE state = 'lost'").await;
    assert_eq!(epochs, 1, "it ended once");
}

#[tokio::test]
async fn an_epoch_that_is_folded_at_one_process_is_folded_at_every_other() {
    const WEEK_MICROS: i64 = 7 * 24 * 3_600 * 1_000_000;
    let state = Several::start(2).await;
    let first = state.turn(0).make("k", "1").await;
    let lost = state.turn(0).put(put("k", "2", Some(&first))).await.unwrap().version;
    say(&state, TAKE_OVER).await;
    loss(&state.turn(1).put(put("k", "3", Some(&lost))).await.unwrap_err());
    state.turn(0).upkeep_later(WEEK_MICROS + 1_000_000).await;
    // The record's next write folds what it counts of the lost epoch: who has not heard of that would take the first version,
    // which counts in it, for a lost one.
    state.turn(0).put(put("k", "2", Some(&first))).await.unwrap();
    for process in &state.processes {
        conflict(&process.put(put("k", "3", Some(&first))).await.unwrap_err());
        conflict(&process.put(put("k", "3", Some(&lost))).await.unwrap_err());
    }
}

#[tokio::test]
async fn a_read_ends_such_an_epoch_too() {
    let state = Several::start(1).await;
    let one = state.turn(0);
    let first = one.make("k", "1").await;
    let lost = one.put(put("k", "2", Some(&first))).await.unwrap().version;
    let before = one.postgres().knowledge().epoch;
    say(&state, TAKE_OVER).await;
    assert_eq!(data(&one.get("k").await.unwrap()), "1");
    assert_ne!(one.postgres().knowledge().epoch, before);
    loss(&one.put(put("k", "3", Some(&lost))).await.unwrap_err());
}

#[tokio::test]
async fn where_another_place_decides_nothing_is_decided_or_shown_here() {
    let state = Several::start(1).await;
    let one = state.turn(0);
    let at = one.make("k", "1").await;
    say(
        &state,
        "
        UPDATE holdfast_state.shards SET who = 'redis';
        UPDATE holdfast_state.deciders SET who = 'redis', place = 'a Redis', knowledge = knowledge + 1;",
    )
    .await;
    assert_come_back(&one.put(put("k", "2", Some(&at))).await.unwrap_err());
    assert_come_back(&one.get("k").await.unwrap_err());
    assert_come_back(&one.register(&lease(holdfast_rpc::time::now_micros() as u64, "a")).await.unwrap_err());
    say(
        &state,
        "
        UPDATE holdfast_state.shards SET who = 'postgres';
        UPDATE holdfast_state.deciders SET who = 'postgres', place = NULL, knowledge = knowledge + 1;",
    )
    .await;
    one.put(put("k", "2", Some(&at))).await.expect("it is this one's turn again");
}
