//! Plans are of index scans, whatever the statistics say: on empty tables, on fresh ones, on large ones.

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

use super::Shared;
use crate::store::postgres::save::DELETE_REMEMBERED;
use crate::store::postgres::sweep::excess;
use crate::store::postgres::{due, load, ready, rows};

/// With the settings that the store gives to its sessions.
async fn connect(server: &Shared) -> PgConnection {
    let mut connection = PgConnection::connect(&server.0.url()).await.unwrap();
    let settings = "SET search_path = s; SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off;
        SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off";
    sqlx::raw_sql(settings).execute(&mut connection).await.unwrap();
    connection
}

/// A statement's plan as it is made for values that are not known.
async fn plan(connection: &mut PgConnection, sql: &str, arguments: &str) -> String {
    let text = sql.replace("{live}", rows::LIVE).replacen('?', "$1", 1).replacen('?', "$2", 1);
    let prepare = format!("PREPARE asked AS {text}");
    sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut *connection).await.unwrap();
    let explain = format!("EXPLAIN (COSTS OFF) EXECUTE asked({arguments})");
    let lines: Vec<String> = sqlx::query_scalar(AssertSqlSafe(explain)).fetch_all(&mut *connection).await.unwrap();
    sqlx::raw_sql("DEALLOCATE asked").execute(&mut *connection).await.unwrap();
    lines.join("\n")
}

async fn assert_plans(connection: &mut PgConnection, state: &str) {
    let none = "'{}', '{}'";
    let cases = [
        ("lone rows", load::LONE_ROWS, "'{}'".to_owned(), &["live_pkey"][..]),
        ("remembered", DELETE_REMEMBERED, none.to_owned(), &["live_pkey"]),
        ("members", load::LOAD_MEMBERS, "'{}', '{}', '{}', '{}'".to_owned(), &["live_pkey", "live_places"]),
        ("tail", ready::TAIL, format!("{none}, 10, 1"), &["ready_pkey"]),
        ("line", ready::LINE, format!("{none}, 10, 'a', 't', 0"), &["ready_lines"]),
        ("lines", ready::LINES, String::new(), &["ready_lines"]),
        ("keys", load::READ_KEYS, "'{}', '{}', '{}'".to_owned(), &["idempotency_keys_pkey", "live_pkey"]),
        ("excess", excess::COUNT, format!("'{}', 9", Uuid::max()), &["Index Only Scan Backward"]),
        ("due", due::DUE, "1, 10, 0, 5".to_owned(), &["live_deadlines", "delayed_pkey"]),
    ];
    for (name, sql, arguments, indexes) in cases {
        let arguments = if arguments.is_empty() { "" } else { &arguments };
        let plan = if arguments.is_empty() {
            let explain = format!("EXPLAIN (COSTS OFF) {sql}");
            let lines: Vec<String> =
                sqlx::query_scalar(AssertSqlSafe(explain)).fetch_all(&mut *connection).await.unwrap();
            lines.join("\n")
        } else {
            plan(connection, sql, arguments).await
        };
        for index in indexes {
            assert!(plan.contains(index), "{name} on {state} tables does not use {index}:\n{plan}");
        }
        assert!(!plan.contains("hashed"), "{name} on {state} tables reads a whole table:\n{plan}");
        for table in ["live", "ready", "delayed", "sessions"] {
            assert!(!plan.contains(&format!("Seq Scan on {table}")), "{name} on {state} tables:\n{plan}");
        }
    }
}

const FILL: &str = "
    INSERT INTO processes DEFAULT VALUES;
    INSERT INTO ready SELECT 1, n, gen_random_uuid(), n, n, 1, 0, 'a', 't' FROM generate_series(1, 20000) AS n;
    INSERT INTO delayed SELECT n, gen_random_uuid() FROM generate_series(1, 20000) AS n;
    INSERT INTO live (id, accepted_at, bytes, deadline, priority, state, attempt, lost, tries, redrives, events, fence,
        tenant, agent, session, session_order, session_name)
    SELECT gen_random_uuid(), n, 1, n, 0, 1, 0, 0, 0, 0, 1, 0, 't', 'a', n / 10, n % 10, 's'
    FROM generate_series(1, 20000) AS n";

#[tokio::test]
async fn plans_do_not_depend_on_statistics() {
    let server = Shared::start().await;
    let _process = server.process("s").await;
    let mut connection = connect(&server).await;
    assert_plans(&mut connection, "empty").await;
    sqlx::raw_sql(FILL).execute(&mut connection).await.unwrap();
    assert_plans(&mut connection, "fresh").await;
    sqlx::raw_sql("ANALYZE").execute(&mut connection).await.unwrap();
    assert_plans(&mut connection, "large").await;
}
