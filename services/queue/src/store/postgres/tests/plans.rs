//! Plans are of index scans that know where to look, whatever the statistics say: on empty tables, on fresh ones, on large
//! ones, on drained ones.

use std::collections::HashMap;

use sqlx::{AssertSqlSafe, PgConnection};

use super::{Process, Shared};
use crate::domain::invocation::Status;
use crate::store::postgres::list::Source;
use crate::store::postgres::save::DELETE_REMEMBERED;
use crate::store::postgres::sweep::excess;
use crate::store::postgres::{due, load, ready, rows};

/// A session of the store's; what is planned for partitions that no value leads to is shown, too.
async fn connect(process: &Process) -> PgConnection {
    let mut connection = process.duties.acquire().await.unwrap().detach();
    execute(&mut connection, "SET enable_partition_pruning = off").await;
    connection
}

/// What tables that grow are read or changed by, and indexes that must be in use.
const STATEMENTS: &[(&str, &str, &[&str])] = &[
    ("lone rows", load::LONE_ROWS, &["live_pkey"]),
    ("members", load::LOAD_MEMBERS, &["live_pkey", "live_places"]),
    ("keys", load::READ_KEYS, &["idempotency_keys_pkey", "live_pkey"]),
    ("locked keys", include_str!("../lock_keys.sql"), &["idempotency_keys_pkey"]),
    ("taken keys", include_str!("../update_keys.sql"), &["idempotency_keys_pkey"]),
    ("key", include_str!("../by_key.sql"), &["idempotency_keys_pkey"]),
    ("ends", include_str!("../ends.sql"), &[]),
    ("redriven", include_str!("../redriven.sql"), &[]),
    ("redriven by a call", include_str!("../redriven_by.sql"), &[]),
    ("former tries", include_str!("../tries.sql"), &[]),
    ("changed", include_str!("../update_live.sql"), &["live_pkey"]),
    ("remembered", DELETE_REMEMBERED, &["live_pkey"]),
    ("not ready", include_str!("../delete_ready.sql"), &["ready_pkey"]),
    ("not delayed", include_str!("../delete_delayed.sql"), &["delayed_pkey"]),
    ("sessions", include_str!("../update_sessions.sql"), &["sessions_pkey"]),
    ("passed on", include_str!("../update_session_leases.sql"), &["session_leases_pkey"]),
    ("new deadlines", include_str!("../update_deadlines.sql"), &[]),
    ("used", include_str!("../update_usage.sql"), &[]),
    ("full reports", include_str!("../clear_reports.sql"), &[]),
    ("work", include_str!("../asked.sql"), &[]),
    ("records", include_str!("../records.sql"), &["live_pkey"]),
    ("past ends", include_str!("../past_ends.sql"), &[]),
    ("progress", include_str!("../progress.sql"), &["live_pkey"]),
    ("reports", include_str!("../reports.sql"), &[]),
    ("tail", ready::TAIL, &["ready_pkey"]),
    ("buried", include_str!("../forget_buried.sql"), &["ready_pkey"]),
    ("line", ready::LINE, &["ready_lines"]),
    ("lines", ready::LINES, &["ready_lines"]),
    ("due", due::DUE, &["live_deadlines", "delayed_pkey"]),
    ("excess", excess::COUNT, &["Index Only Scan Backward"]),
    ("old invocations", include_str!("../delete_invocations.sql"), &[]),
    ("old keys", include_str!("../delete_keys.sql"), &["idempotency_keys_by_age", "live_pkey"]),
    ("old reports", include_str!("../delete_reports.sql"), &[]),
    ("old day", include_str!("../count_day.sql"), &["live_pkey"]),
    ("agents", include_str!("../agents.sql"), &[]),
    ("notes", include_str!("../take_notes.sql"), &["notes_pkey"]),
    ("raises", include_str!("../take_raises.sql"), &["fence_raises_pkey"]),
];

/// What a list is given.
const LISTED: &str = "(text, text, text, integer[], text[], text[], uuid, uuid, bigint, bigint, bigint, bigint, bigint, \
    integer, text[])";

/// The texts of lists, from every source that they have.
fn lists() -> Vec<(&'static str, String, &'static [&'static str])> {
    let sources: [(_, _, &[_]); 6] = [
        ("list by label", Source::Label, &["labels_rest_pkey"]),
        ("list of a session", Source::Session, &["invocations_rest_tenant_session_id_idx"]),
        ("list of what goes on", Source::Live(Vec::new()), &["live_pkey"]),
        ("list of what failed", Source::Unsuccessful(Status::Failed), &["ended_rest_tenant_state_id_idx"]),
        ("list of agents", Source::Agents(Vec::new(), Vec::new()), &["invocations_rest_tenant_agent_id_idx"]),
        ("list", Source::Everything(Vec::new()), &["invocations_rest_pkey"]),
    ];
    let both = |(name, source, indexes): (_, Source, _)| [true, false].map(|first| (name, source.text(first), indexes));
    sources.into_iter().flat_map(both).collect()
}

/// A statement's plan as it is made for values that are not known; of types that are, where they are given.
async fn plan(connection: &mut PgConnection, sql: &str, types: &str) -> Vec<String> {
    let columns =
        [("{live}", rows::LIVE), ("{accepted}", rows::ACCEPTED), ("{ended}", rows::ENDED), ("{tries}", rows::TRIES)];
    let mut text = columns.into_iter().fold(sql.to_owned(), |text, (name, columns)| text.replace(name, columns));
    for place in 1..=text.matches('?').count() {
        text = text.replacen('?', &format!("${place}"), 1);
    }
    let places = match types {
        "" => (1..99).take_while(|place| text.contains(&format!("${place}"))).count(),
        types => types.split(',').count(),
    };
    execute(connection, &format!("PREPARE asked {types} AS {text}")).await;
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
    let statements = STATEMENTS.iter().map(|(name, sql, indexes)| (*name, (*sql).to_owned(), "", *indexes));
    let lists = lists().into_iter().map(|(name, sql, indexes)| (name, sql, LISTED, indexes));
    for (name, sql, types, indexes) in statements.chain(lists) {
        let plan = plan(connection, &sql, types).await;
        let text = plan.join("\n");
        for index in indexes {
            assert!(text.contains(index), "{name} on {state} tables does not use {index}:\n{text}");
        }
        // Of processes there are few.
        for (place, line) in plan.iter().enumerate().filter(|(_, line)| !line.contains(" on processes")) {
            let is_first = place > 0 && plan[place - 1].contains("Limit");
            let next = plan.get(place + 1).filter(|next| next.contains("Index Cond"));
            if let Some((_, scan)) = line.split_once("Scan using ").or(line.split_once("Scan Backward using ")) {
                let (index, _) = scan.split_once(' ').unwrap();
                let knows_where = next.is_some_and(|next| names(next, &firsts[index]));
                assert!(knows_where || is_first, "{name} on {state} tables walks over {index}:\n{text}");
            }
            let looks_again = line.contains("Join Filter") && !line.contains("processes.writer");
            // What is found first must be what is wanted first: else a page takes all that there is.
            let sorts = types == LISTED && line.contains("->  Sort");
            let whole = line.contains("Seq Scan") || line.contains("hashed");
            assert!(!looks_again && !whole && !sorts, "{name} on {state} tables reads too much:\n{text}");
        }
    }
}

/// Whether a condition is about this column.
fn names(condition: &str, column: &str) -> bool {
    condition.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == column)
}

const FILL: &str = "
    INSERT INTO invocations (id, accepted_at, bytes, priority, tenant, agent, retry, traceparent, content_type, payload)
    SELECT gen_random_uuid(), n, 1, 0, 't', 'a', '{}', '', '', '' FROM generate_series(1, 20000) AS n;
    INSERT INTO ended (id, at, event, input_tokens, output_tokens, state, attempt, lost, retryable, reason, message, tenant)
    SELECT id, 1, 2, 0, 0, 5, 1, 0, false, 'CANCELLED', '', tenant FROM invocations";
const FILL_HOT: &str = "
    INSERT INTO processes DEFAULT VALUES;
    INSERT INTO ready SELECT 1, n, gen_random_uuid(), n, n, 1, 0, 'a', 't' FROM generate_series(1, 20000) AS n ON CONFLICT DO NOTHING;
    INSERT INTO delayed SELECT n, gen_random_uuid() FROM generate_series(1, 20000) AS n ON CONFLICT DO NOTHING;
    INSERT INTO sessions SELECT n, 1, 1, 1 FROM generate_series(1, 20000) AS n ON CONFLICT DO NOTHING;
    INSERT INTO session_leases SELECT n, gen_random_uuid() FROM generate_series(1, 20000) AS n ON CONFLICT DO NOTHING;
    INSERT INTO idempotency_keys (tenant, agent, key, id, digest)
    SELECT 't', 'a', n, gen_random_uuid(), decode(repeat('00', 32), 'hex') FROM generate_series(1, 20000) AS n ON CONFLICT DO NOTHING;
    INSERT INTO live (id, accepted_at, bytes, deadline, priority, state, attempt, lost, tries, redrives, events, fence,
        tenant, agent, session, session_order, session_name)
    SELECT gen_random_uuid(), n, 1, n, 0, 1, 0, 0, 0, 0, 1, 0, 't', 'a', n / 10, n % 10, 's'
    FROM generate_series(1, 20000) AS n ON CONFLICT DO NOTHING";

/// What is emptied and filled again and again, and what grows with time.
const TABLES: [&[&str]; 2] = [
    &["live", "ready", "delayed", "sessions", "session_leases", "idempotency_keys"],
    &["invocations", "ended", "labels", "reports", "tries", "past_ends", "notes", "fence_raises"],
];

async fn execute(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.unwrap();
}

/// Leaves so many rows of each table. The server goes on believing that no more is in it until it cleans it up once more.
async fn drain(connection: &mut PgConnection, tables: &[&str], left: usize, vacuum: &str) {
    for table in tables {
        execute(
            connection,
            &format!("DELETE FROM {table} WHERE ctid <> ALL (ARRAY(SELECT ctid FROM {table} LIMIT {left}))"),
        )
        .await;
        execute(connection, &format!("{vacuum} {table}")).await;
    }
}

#[tokio::test]
async fn plans_do_not_depend_on_statistics() {
    let server = Shared::start().await;
    let process = server.process("s").await;
    let mut connection = connect(&process).await;
    assert_plans(&mut connection, "empty").await;
    execute(&mut connection, FILL).await;
    execute(&mut connection, FILL_HOT).await;
    assert_plans(&mut connection, "fresh").await;
    execute(&mut connection, "ANALYZE").await;
    assert_plans(&mut connection, "large").await;
    let [hot, growing] = TABLES;
    drain(&mut connection, hot, 0, "VACUUM").await;
    assert_plans(&mut connection, "drained").await;
    drain(&mut connection, growing, 0, "VACUUM (TRUNCATE false)").await;
    execute(&mut connection, FILL).await;
    execute(&mut connection, FILL_HOT).await;
    assert_plans(&mut connection, "filled again").await;
    for left in [3, 0] {
        drain(&mut connection, hot, left, "VACUUM (TRUNCATE false)").await;
        execute(&mut connection, FILL_HOT).await;
        assert_plans(&mut connection, &format!("filled again after {left}")).await;
    }
}

/// Pages that a statement looks at.
async fn pages(connection: &mut PgConnection, sql: &str, arguments: &str) -> u64 {
    let text = sql.replacen('?', "$1", 1).replacen('?', "$2", 1);
    execute(connection, &format!("PREPARE asked AS {text}")).await;
    let explain = format!("EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) EXECUTE asked({arguments})");
    let lines: Vec<String> = sqlx::query_scalar(AssertSqlSafe(explain)).fetch_all(&mut *connection).await.unwrap();
    execute(connection, "DEALLOCATE asked").await;
    let (_, of_all) = lines.iter().find_map(|line| line.split_once("Buffers: shared ")).unwrap();
    let counts = of_all.split_whitespace().filter_map(|count| count.split_once('='));
    counts.filter(|(kind, _)| matches!(*kind, "hit" | "read")).map(|(_, count)| count.parse::<u64>().unwrap()).sum()
}

#[tokio::test]
async fn what_is_ready_is_found_among_very_much() {
    let server = Shared::start().await;
    let process = server.process("s").await;
    let mut connection = connect(&process).await;
    for left in [50_000, 3] {
        drain(&mut connection, &["ready"], left, "VACUUM ANALYZE").await;
        let fill = "INSERT INTO ready SELECT 1, n, gen_random_uuid(), n, n, 1, 0, 'a', 't' || n % 1000
            FROM generate_series(1, 50000) AS n ON CONFLICT DO NOTHING";
        execute(&mut connection, fill).await;
        let line = pages(&mut connection, ready::LINE, "'{}', '{}', 256, 'a', 't5', 0").await;
        assert!(line < 150, "a line of 50 takes {line} pages where {left} were left");
        let taken = pages(&mut connection, include_str!("../delete_ready.sql"), "'{1}', '{10}'").await;
        assert!(taken < 30, "to take one takes {taken} pages where {left} were left");
    }
}
