//! What SQL itself refuses, whoever asks.

use rusqlite::Connection;

fn database() -> Connection {
    let mut connection = Connection::open_in_memory().unwrap();
    super::migrations().to_latest(&mut connection).unwrap();
    connection
}

const LIVE: &str = "INSERT INTO live (id, seq, session, session_order, state, attempt, lost, events, fence, tries, \
     started_at, next_at, lease, worker, stream, leased_at, lease_event) VALUES ";
const ENDED: &str = "INSERT INTO ended (seq, state, at, attempt, lost, event, started_at, lease, fence, worker, \
     leased_at, lease_event, input_tokens, output_tokens, reason, message, retryable, content_type, result) VALUES ";

fn live(values: &str) -> String {
    format!("{LIVE} ({values})")
}

fn ended(values: &str) -> String {
    format!("{ENDED} ({values})")
}

#[test]
fn states_that_make_sense_are_taken() {
    let connection = database();
    for sql in [
        live("zeroblob(16), 1, NULL, NULL, 1, 0, 0, 1, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL"),
        live("randomblob(16), 2, 5, 1, 2, 1, 0, 2, 9, 0, 7, NULL, randomblob(16), 'w', NULL, 7, 2"),
        ended("1, 3, 9, 1, 0, 3, 7, zeroblob(16), 9, 'w', 7, 2, 0, 0, NULL, NULL, NULL, '', x''"),
        ended("2, 5, 9, 0, 0, 2, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 'CANCELLED', '', 0, NULL, NULL"),
    ] {
        connection.execute(&sql, []).unwrap();
    }
}

#[test]
fn no_row_is_checked_by_a_table_that_is_made_for_it() {
    let connection = database();
    for sql in [
        include_str!("insert_invocation.sql"),
        include_str!("insert_live.sql"),
        include_str!("insert_ended.sql"),
        include_str!("insert_try.sql"),
        include_str!("update_live.sql"),
        "DELETE FROM live WHERE id = ?1",
    ] {
        let mut explained = connection.prepare(&format!("EXPLAIN {sql}")).unwrap();
        let opcodes = explained.raw_query().mapped(|row| row.get("opcode"));
        let opcodes: Vec<String> = opcodes.collect::<Result<_, _>>().unwrap();
        assert!(opcodes.len() > 10 && !opcodes.iter().any(|opcode| opcode == "OpenEphemeral"), "{sql}");
    }
}

#[test]
fn sql_refuses_illegal_states() {
    let connection = database();
    for (why, sql) in [
        (
            "an unknown state",
            live("zeroblob(16), 1, NULL, NULL, 3, 0, 0, 1, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL"),
        ),
        (
            "queued with a lease",
            live("zeroblob(16), 1, NULL, NULL, 1, 1, 0, 2, 9, 0, 7, NULL, randomblob(16), 'w', NULL, 7, 2"),
        ),
        (
            "leased without a lease",
            live("zeroblob(16), 1, NULL, NULL, 2, 1, 0, 2, 9, 0, 7, NULL, NULL, NULL, NULL, NULL, NULL"),
        ),
        (
            "leased without a fence",
            live("zeroblob(16), 1, NULL, NULL, 2, 1, 0, 2, 0, 0, 7, NULL, randomblob(16), 'w', NULL, 7, 2"),
        ),
        (
            "leased and delayed",
            live("zeroblob(16), 1, NULL, NULL, 2, 1, 0, 2, 9, 0, 7, 99, randomblob(16), 'w', NULL, 7, 2"),
        ),
        (
            "a session without a place",
            live("zeroblob(16), 1, 5, NULL, 1, 0, 0, 1, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL"),
        ),
        (
            "an end that is none",
            ended("2, 7, 9, 0, 0, 2, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 'CANCELLED', '', 0, NULL, NULL"),
        ),
        (
            "a success without a lease",
            ended("1, 3, 9, 1, 0, 3, 7, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL, NULL, NULL, '', x''"),
        ),
        (
            "a success without a result",
            ended("1, 3, 9, 1, 0, 3, 7, zeroblob(16), 9, 'w', 7, 2, 0, 0, NULL, NULL, NULL, '', NULL"),
        ),
        (
            "a failure without a reason",
            ended("1, 4, 9, 1, 0, 3, 7, zeroblob(16), 9, 'w', 7, 2, 0, 0, NULL, NULL, NULL, NULL, NULL"),
        ),
        (
            "a failure with a result",
            ended("1, 4, 9, 1, 0, 3, 7, zeroblob(16), 9, 'w', 7, 2, 0, 0, 'X', '', 0, '', x''"),
        ),
        ("half a lease", ended("1, 5, 9, 1, 0, 3, 7, zeroblob(16), NULL, 'w', 7, 2, 0, 0, 'X', '', 0, NULL, NULL")),
    ] {
        assert!(connection.execute(&sql, []).is_err(), "{why} was taken");
    }
}

#[test]
fn sql_refuses_two_running_in_one_session_and_two_in_one_place() {
    let connection = database();
    let running = |order: i64| {
        live(&format!(
            "randomblob(16), {order}, 5, {order}, 2, 1, 0, 2, 9, 0, 7, NULL, randomblob(16), 'w', NULL, 7, 2"
        ))
    };
    connection.execute(&running(1), []).unwrap();
    assert!(connection.execute(&running(2), []).is_err());
    let waiting = live("randomblob(16), 3, 5, 1, 1, 0, 0, 1, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL");
    assert!(connection.execute(&waiting, []).is_err());
}

#[test]
fn sql_refuses_a_second_end() {
    let connection = database();
    let end = ended("1, 5, 9, 0, 0, 2, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 'CANCELLED', '', 0, NULL, NULL");
    connection.execute(&end, []).unwrap();
    assert!(connection.execute(&end, []).is_err());
}

/// The list that every store passes, on an embedded one in a directory of its own.
mod conforms {
    use std::sync::Arc;

    use crate::store::conformance::{Port, conformance};
    use crate::store::sqlite::Sqlite;

    async fn open() -> (Port, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let (deliver, answer) = holdfast_storage::waiters();
        tokio::spawn(answer);
        (Arc::new(Sqlite::open(directory.path(), std::time::Duration::ZERO, deliver).unwrap()), directory)
    }

    conformance!(each: open);
    conformance!(restoring: open);
}
