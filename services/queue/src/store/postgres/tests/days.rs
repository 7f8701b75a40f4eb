//! Whole days go at once, and what stays of them moves aside.

use sqlx::{Connection, PgConnection};
use uuid::{NoContext, Timestamp, Uuid};

use super::Shared;
use crate::domain::invocation::Accepted;
use crate::store::conformance::{Port, accept, accept_command, accepted, batch, settle_command};
use crate::store::postgres::partitions::{DAY, make, today};
use crate::store::{Change, Litter, Settle, Sweep};

/// A day in 2026.
const OLD: i64 = 20_500;

#[tokio::test]
async fn a_day_whose_work_has_ended_is_dropped_and_what_has_not_moves_aside() {
    let server = Shared::start().await;
    let port: Port = server.process("public").await;
    let mut connection = PgConnection::connect(&server.0.url()).await.unwrap();
    for table in crate::store::postgres::partitions::TABLES {
        make(&mut connection, table, OLD).await.unwrap();
    }
    let start = OLD * DAY;
    let of_that_day = |n: i64| {
        let at = start + n * 1_000_000;
        let id = Uuid::new_v7(Timestamp::from_unix(NoContext, (at / 1_000_000) as u64, 0));
        Accepted { id, at, ..accepted() }
    };
    let all: Vec<Accepted> = (0..20).map(of_that_day).collect();
    batch(&port, all.iter().map(accept_command).collect()).await;
    let end = |id: Uuid, now| crate::store::Command::Settle(Box::new(Settle { id, now, change: Change::Expire }));
    let ends = all[..18].iter().map(|one| end(one.id, start + DAY)).collect();
    batch(&port, ends).await;
    batch(&port, vec![end(all[18].id, start + 9 * DAY)]).await;
    let sweep = |before| Sweep { litter: Litter::Invocations, now: i64::MAX, before, from: None, limit: 1 };
    let partition = "SELECT to_regclass('public.invocations_day_20500') IS NOT NULL";

    let ahead = format!("SELECT to_regclass('public.invocations_day_{}') IS NOT NULL", today() + 3);
    server.0.query(&format!("DROP TABLE public.invocations_day_{}", today() + 3)).await;
    assert_eq!(port.sweep(sweep(start + DAY)).await.unwrap().removed, 0, "nothing is old enough");
    assert_eq!(server.0.query(&ahead).await, "t", "the days to come are made");
    assert_eq!(server.0.query(partition).await, "t");
    assert_eq!(port.sweep(sweep(start + 3 * DAY)).await.unwrap().removed, 18);
    assert_eq!(server.0.query(partition).await, "f");
    for (one, stays) in all.iter().zip((0..20).map(|n| n >= 18)) {
        assert_eq!(port.get(one.id, None, true).await.unwrap().is_some(), stays);
    }
    // What waits goes on as ever.
    accept(&port, &of_that_day(30)).await;
    batch(&port, vec![settle_command(all[19].id, Change::Expire)]).await;
}

#[tokio::test]
async fn a_long_read_keeps_no_process_from_starting_and_days_are_made_after_it() {
    let server = Shared::start().await;
    let _first = server.process("s").await;
    let ahead = today() + 3;
    server.0.query(&format!("DROP TABLE s.invocations_day_{ahead}")).await;
    let there = format!("SELECT to_regclass('s.invocations_day_{ahead}') IS NOT NULL");
    let mut reader = PgConnection::connect(&server.0.url()).await.unwrap();
    sqlx::raw_sql("BEGIN; SELECT count(*) FROM s.invocations").execute(&mut reader).await.unwrap();
    let port: Port = server.process("s").await;
    assert_eq!(server.0.query(&there).await, "f");
    accept(&port, &accepted()).await;
    sqlx::raw_sql("COMMIT").execute(&mut reader).await.unwrap();
    port.sweep(Sweep { litter: Litter::Invocations, now: 0, before: 0, from: None, limit: 1 }).await.unwrap();
    assert_eq!(server.0.query(&there).await, "t");
}
