use super::*;
use crate::{
    domain::Seq,
    store::{
        FenceChange, Flush, Retention, Shelf, Step, Swept,
        conformance::{Backend, CHECKS, Running, Told, partition},
    },
};

struct Directory(tempfile::TempDir);

impl Directory {
    fn opened(&self) -> Opened {
        open(self.0.path(), 1_000).expect("the directory is this test's own")
    }
}

impl Backend for Directory {
    fn open(&self) -> Told<'_, Box<dyn Running>> {
        Box::pin(async { Box::new(self.opened()) as Box<dyn Running> })
    }
}

impl Running for Opened {
    fn shelf(&self) -> &dyn Shelf {
        &*self.shelf
    }

    fn position(&mut self) -> Told<'_, u64> {
        Box::pin(async { self.journal.flushes().unwrap() })
    }

    fn flush(&mut self, from: u64, steps: Vec<Step>) -> Told<'_, Result<(), Failure>> {
        let steps = steps.into_iter().map(|step| (partition().shard(), Arc::new(step))).collect();
        Box::pin(async move {
            let stored = self.journal.commit(from, &Flush { steps, fences: Vec::new() });
            stored.map_err(|unstored| {
                assert!(!unstored.in_doubt);
                unstored.failure
            })
        })
    }

    fn write_fence(&mut self, change: FenceChange) -> Told<'_, ()> {
        Box::pin(async {
            let from = self.position().await;
            self.journal.commit(from, &Flush { steps: Vec::new(), fences: vec![change] }).unwrap();
        })
    }

    /// The cache of a process decides in any case.
    fn decide_in_a_cache(&mut self) -> Told<'_, ()> {
        Box::pin(async {})
    }

    fn recover(&mut self) -> Told<'_, Option<LostEpoch>> {
        Box::pin(async { self.recovered.lost.take() })
    }

    fn epochs(&mut self) -> Told<'_, Epochs> {
        Box::pin(async { self.recovered.epochs.clone() })
    }

    fn floor(&mut self) -> Told<'_, Vector> {
        Box::pin(async { self.recovered.floors[partition().shard().index()].clone() })
    }

    fn fence_floor(&mut self) -> Told<'_, u64> {
        Box::pin(async { self.recovered.fence_floor })
    }

    fn sweep_history(&mut self, after: Seq, rows: usize, keep: Retention) -> Told<'_, Swept> {
        Box::pin(async move { self.journal.sweep_history(after, rows, keep).unwrap() })
    }

    /// As upkeep does it.
    fn sweep_fences(&mut self, horizon: u64) -> Told<'_, ()> {
        Box::pin(async move {
            if let Some(newest) = self.shelf.newest_fence_below(horizon).await.unwrap() {
                self.journal.sweep_fences(newest + 1).unwrap();
            }
        })
    }

    fn fold_epochs(&mut self, epochs: Vec<EpochId>) -> Told<'_, ()> {
        Box::pin(async move { self.journal.fold_epochs(&epochs).unwrap() })
    }
}

#[tokio::test]
async fn sqlite_does_what_every_store_must() {
    for (promise, check) in CHECKS {
        println!("{promise}");
        check(&Directory(tempfile::tempdir().unwrap())).await;
    }
}

#[tokio::test]
async fn a_life_goes_on_where_the_one_before_ended() {
    use crate::store::conformance::{change, take};

    let directory = Directory(tempfile::tempdir().unwrap());
    let mut store = directory.opened();
    take(&mut store, [change("k", 1, 1, 0, Some("v"))]).await;
    drop(store);
    let recovered = directory.opened().recovered;
    assert_eq!((recovered.seq, recovered.record, recovered.flushes), (1, 1, 1));
}

/// What a version of this program wrote that had no table of heads.
const OLDER: [&str; 3] = [
    include_str!("../../../migrations/sqlite/0001_records.sql"),
    include_str!("../../../migrations/sqlite/0002_history.sql"),
    "PRAGMA user_version = 2;
     INSERT INTO epochs (epoch, state, begun) VALUES (7, 'current', 0);
     INSERT INTO decider (only_row, epoch, flushes, fence_floor) VALUES (1, 7, 2, 0);
     INSERT INTO records VALUES (1, 't', 'n', 'p', 'live', 2, 2, 0, 900), (2, 't', 'n', 'p', 'gone', 3, 1, 1, NULL);
     INSERT INTO history VALUES (1, 1, 0, 1, x'01', 0, zeroblob(16), '', 0, 'text/plain', x'31', NULL);
     INSERT INTO history VALUES (2, 1, 1, 2, x'02', 0, zeroblob(16), '', 0, 'text/plain', x'32', 900);
     INSERT INTO history VALUES (3, 2, 0, 1, x'03', 0, zeroblob(16), '', 0, NULL, NULL, NULL);",
];

#[tokio::test]
async fn the_records_of_an_older_version_are_found_with_their_newest_editions() {
    let directory = Directory(tempfile::tempdir().unwrap());
    let older = Connection::open(directory.0.path().join("state.db")).unwrap();
    OLDER.iter().for_each(|sql| older.execute_batch(sql).unwrap());
    drop(older);
    let store = directory.opened();
    let at = |key| crate::domain::Address::new("t", "n", "p", key).unwrap();
    let found = store.shelf.editions(vec![at("live"), at("gone"), at("never")]).await.unwrap();
    let shown = |edition: &crate::domain::Edition| (edition.seq, edition.revision, edition.is_live(), edition.expires);
    assert_eq!(found[0].as_ref().map(shown), Some((2, 2, true, Some(900))));
    assert_eq!(found[1].as_ref().map(shown), Some((3, 1, false, None)));
    assert!(found[2].is_none());
    assert_eq!(store.shelf.tombstones(1, 10).await.unwrap(), [at("gone")]);
    let expired: Vec<_> = store.shelf.expired(900, 10).await.unwrap().into_iter().map(|(address, _)| address).collect();
    assert_eq!(expired, [at("live")]);
}

#[test]
fn a_second_process_is_refused_by_the_name_of_the_lock() {
    let directory = Directory(tempfile::tempdir().unwrap());
    let _first = directory.opened();
    let refused = open(directory.0.path(), 0).unwrap_err().to_string();
    assert!(refused.contains("state.lock"), "{refused}");
}

#[test]
fn the_schema_restates_the_invariants() {
    let directory = Directory(tempfile::tempdir().unwrap());
    let _store = directory.opened();
    let connection = Connection::open(directory.0.path().join("state.db")).unwrap();
    for wrong in [
        "INSERT INTO epochs (epoch, state, begun) VALUES (1, 'current', 0)",
        "UPDATE epochs SET state = 'lost'",
        "INSERT INTO decider VALUES (2, 1, 0, 0, 0)",
        "INSERT INTO shards (shard) VALUES (64)",
        "UPDATE shards SET dirty = 2",
        "INSERT INTO heads VALUES (1, 1, 0, 0, NULL)",
        "INSERT INTO heads VALUES (1, 1, 1, 2, NULL)",
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
