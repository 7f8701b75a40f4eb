//! Plans are of index scans that know where to look, whatever the statistics say: on empty tables,
//! on fresh ones, on large ones, on drained ones.

use std::collections::HashMap;

use super::*;
use crate::store::postgres::shelf;
use crate::store::postgres::tables::statements;

/// What large tables are read or changed by.
fn statements() -> Vec<(&'static str, &'static str)> {
    vec![
        ("lock shards", statements::WAIT),
        ("lock shards at once", statements::SKIP),
        ("read shards", statements::READ),
        ("store", statements::STORE),
        ("load", statements::LOAD.as_str()),
        ("load if", statements::LOAD_IF.as_str()),
        ("blind writes", statements::BLIND_WRITES.as_str()),
        ("share fences", statements::SHARE),
        ("write fences", statements::WRITE),
        ("confirm a fence", statements::CONFIRM),
        ("try fences", statements::TRY_SHARE.as_str()),
        ("hold fences", statements::TRY_HOLD.as_str()),
        ("read fences", statements::TRY_READ),
        ("share the decider", statements::SHARE_DECIDER),
        ("who decides", decider::READ),
        ("page", shelf::PAGE.as_str()),
        ("trail", shelf::TRAIL.as_str()),
        ("history", shelf::HISTORY.as_str()),
        ("edition at", shelf::EDITION_AT.as_str()),
        ("changes", shelf::CHANGES.as_str()),
        ("blind write", shelf::BLIND.as_str()),
        ("fence", shelf::FENCE),
        ("newest fence", shelf::NEWEST_FENCE),
        ("expired", shelf::EXPIRED),
        ("tombstones", shelf::TOMBSTONES),
        ("sweep history", sweep::HISTORY),
        ("fence floor", sweep::FENCE_FLOOR),
        ("sweep fences", sweep::FENCES),
    ]
}

/// A statement's plan as the store's sessions make it: for values that are not known.
async fn plan(connection: &mut PgConnection, sql: &str) -> Vec<String> {
    let places = (1..99).take_while(|place| sql.contains(&format!("${place}"))).count();
    sqlx::raw_sql(AssertSqlSafe(format!("PREPARE asked AS {sql}"))).execute(&mut *connection).await.unwrap();
    let arguments = if places == 0 { String::new() } else { format!("({})", vec!["NULL"; places].join(", ")) };
    let explain = format!("EXPLAIN (COSTS OFF) EXECUTE asked{arguments}");
    let lines = sqlx::query_scalar(AssertSqlSafe(explain)).fetch_all(&mut *connection).await.unwrap();
    sqlx::raw_sql("DEALLOCATE asked").execute(&mut *connection).await.unwrap();
    lines
}

/// The first column of each index.
async fn firsts(connection: &mut PgConnection) -> HashMap<String, String> {
    let firsts = "SELECT relname::text, attname::text FROM pg_index
        JOIN pg_class ON pg_class.oid = indexrelid JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]";
    sqlx::query_as(firsts).fetch_all(connection).await.unwrap().into_iter().collect()
}

async fn assert_plans(connection: &mut PgConnection, state: &str) {
    let firsts = firsts(connection).await;
    for (name, sql) in statements() {
        let plan = plan(connection, sql).await;
        let text = plan.join("\n");
        for (place, line) in plan.iter().enumerate() {
            if let Some((_, scan)) = line.split_once("Scan using ").or(line.split_once("Scan Backward using ")) {
                let (index, _) = scan.split_once(' ').unwrap();
                let next = plan.get(place + 1).filter(|next| next.contains("Index Cond"));
                let knows_where = next.is_some_and(|next| names(next, &firsts[index]));
                assert!(knows_where, "{name} on {state} tables walks over {index}:\n{text}");
            }
            let whole = ["Seq Scan", "Bitmap", "Hash", "Merge", "hashed", "Join Filter"];
            assert!(!whole.iter().any(|scan| line.contains(scan)), "{name} on {state} tables reads too much:\n{text}");
        }
    }
}

/// Whether a condition is about this column.
fn names(condition: &str, column: &str) -> bool {
    condition.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == column)
}

const FILL: &str = "
    UPDATE shards SET position = 100000;
    INSERT INTO records (id, head, revision, deleted_at, expires, shard, tenant, namespace, partition, key)
    SELECT n, n, 1, CASE n % 3 WHEN 0 THEN n END, CASE n % 3 WHEN 1 THEN n END, n % 64, 't', 'n', n / 100, n
    FROM generate_series(1, 20000) AS n;
    INSERT INTO history (shard, seq, record, previous, revision, time, write_id, blind, vector, invocation)
    SELECT n % 64, n, n, 0, 1, n, gen_random_uuid(), n % 2 = 0, '\\x00', '' FROM generate_series(1, 20000) AS n;
    INSERT INTO fences (tenant, scope, fence) SELECT 't', n, n FROM generate_series(1, 20000) AS n";

#[tokio::test]
async fn plans_do_not_depend_on_statistics() {
    let server = Server::start().await;
    // A session as the store's are, before anything is there.
    let mut process = Process::start(&server.url(), "s").await;
    assert_plans(&mut process.connection, "empty").await;
    sqlx::raw_sql(FILL).execute(&mut process.connection).await.unwrap();
    assert_plans(&mut process.connection, "fresh").await;
    sqlx::raw_sql("ANALYZE").execute(&mut process.connection).await.unwrap();
    assert_plans(&mut process.connection, "large").await;
    // As the server remembers them from when it cleaned them up last: with nothing in them.
    for table in ["records", "history", "fences"] {
        let connection = &mut process.connection;
        sqlx::raw_sql(AssertSqlSafe(format!("DELETE FROM {table}"))).execute(&mut *connection).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(format!("VACUUM {table}"))).execute(&mut *connection).await.unwrap();
    }
    assert_plans(&mut process.connection, "drained").await;
}
