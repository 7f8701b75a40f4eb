use super::*;
use crate::store::conformance::{Backend, CHECKS};

struct Directory(tempfile::TempDir);

impl Backend for Directory {
    fn open(&self) -> Opened {
        open(self.0.path(), 1_000).expect("the directory is this test's own")
    }
}

#[tokio::test]
async fn sqlite_does_what_every_store_must() {
    for (promise, check) in CHECKS {
        println!("{promise}");
        check(&Directory(tempfile::tempdir().unwrap())).await;
    }
}

#[test]
fn a_second_process_is_refused_by_the_name_of_the_lock() {
    let directory = Directory(tempfile::tempdir().unwrap());
    let _first = directory.open();
    let refused = open(directory.0.path(), 0).unwrap_err().to_string();
    assert!(refused.contains("state.lock"), "{refused}");
}

#[test]
fn the_schema_restates_the_invariants() {
    let directory = Directory(tempfile::tempdir().unwrap());
    let _store = directory.open();
    let connection = Connection::open(directory.0.path().join("state.db")).unwrap();
    for wrong in [
        "INSERT INTO epochs (epoch, state, begun) VALUES (1, 'current', 0)",
        "UPDATE epochs SET state = 'lost'",
        "INSERT INTO decider VALUES (2, 1, 0, 0, 0)",
        "INSERT INTO shards (shard) VALUES (64)",
        "UPDATE shards SET dirty = 2",
        "INSERT INTO records VALUES (1, 't', 'n', 'p', 'k', 1, 0, 0, NULL)",
        "INSERT INTO history VALUES (1, 1, 1, 1, x'', 0, zeroblob(16), '', 0, NULL, NULL, NULL)",
        "INSERT INTO history VALUES (2, 1, 1, 1, x'', 0, zeroblob(16), '', 0, 'text/plain', NULL, NULL)",
        "INSERT INTO fences VALUES ('t', 's', -1, NULL)",
    ] {
        let refused = connection.execute(wrong, []).expect_err(wrong);
        assert!(
            matches!(refused.sqlite_error_code(), Some(rusqlite::ErrorCode::ConstraintViolation)),
            "{wrong}: {refused}"
        );
    }
}
