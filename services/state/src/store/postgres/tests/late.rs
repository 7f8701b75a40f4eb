//! What comes too late changes nothing: each rule of who decides, broken on purpose.

use super::*;
use crate::domain::ShardId;
use crate::store::conformance::{at, change, read, take, writes};

async fn two(server: &Server) -> [Process; 2] {
    [Process::start(&server.url(), "s").await, Process::start(&server.url(), "s").await]
}

#[tokio::test]
async fn a_process_that_was_paused_before_its_commit_undoes_nothing() {
    let server = Server::start().await;
    let [mut paused, mut other] = two(&server).await;
    take(&mut other, [change("k", 1, 1, 0, Some("first"))]).await;
    let seen = paused.position().await;
    take(&mut other, [change("k", 1, 2, 1, Some("second"))]).await;
    // By the position that it saw, whatever it would write.
    paused.try_flush(seen, &writes([change("k", 1, 2, 1, Some("late"))])).await.unwrap_err();
    paused.try_flush(seen, &writes([change("k", 1, 3, 2, Some("late"))])).await.unwrap_err();
    paused.try_flush(seen, &writes([change("new", 2, 2, 0, Some("late"))])).await.unwrap_err();
    let data = read(&other, "k").await.unwrap().value.unwrap().data;
    assert_eq!((&*data, read(&other, "new").await), (&b"second"[..], None));
}

#[tokio::test]
async fn a_process_of_an_epoch_that_is_over_stores_nothing() {
    let server = Server::start().await;
    let [mut paused, mut other] = two(&server).await;
    take(&mut paused, [change("k", 1, 1, 0, Some("first"))]).await;
    assert!(other.switch(Who::Postgres, false).await.ours);
    let from = paused.position().await;
    paused.try_flush(from, &writes([change("k", 1, 2, 1, Some("late"))])).await.unwrap_err();
    let marked = tables::mark(&mut paused.connection, partition().shard(), paused.known.epoch, None).await.unwrap();
    assert_eq!(marked, None);
    let loaded = tables::load_if(&mut paused.connection, &paused.known, &[at("k")]).await.unwrap();
    assert_eq!(loaded, None, "it reads nothing as current either");
    paused.learn().await;
    take(&mut paused, [change("k", 1, 2, 1, Some("in time"))]).await;
    assert_eq!(read(&other, "k").await.unwrap().revision, 2);
}

#[tokio::test]
async fn a_change_of_who_decides_waits_for_what_is_under_way() {
    let server = Server::start().await;
    let [mut writer, mut changer] = two(&server).await;
    let shard = partition().shard();
    let mut tx = writer.connection.begin().await.unwrap();
    let row = tables::lock_shards(&mut tx, &[shard], Lock::Wait).await.unwrap().remove(0);
    assert_eq!(row.epoch, changer.known.epoch);
    let switching = changer.switch(Who::Postgres, false);
    let storing = async {
        // The change has begun when it waits for this shard.
        let mut looks = writer.store.database().connect().await.unwrap();
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        while sqlx::query_scalar::<_, i64>(waits).fetch_one(&mut looks).await.unwrap() == 0 {
            tokio::task::yield_now().await;
        }
        let made = [change("k", 1, 1, 0, Some("v"))];
        tables::store(&mut tx, &made, &[Advance { shard, from: 0, to: 1 }]).await.unwrap();
        tx.commit().await.unwrap();
    };
    let both = async { tokio::join!(switching, storing) };
    let (switched, ()) = tokio::time::timeout(std::time::Duration::from_secs(10), both).await.expect("it waits");
    assert!(switched.ours);
    assert_eq!((changer.position().await, read(&changer, "k").await.unwrap().seq), (1, 1));
}

#[tokio::test]
async fn a_record_is_replaced_only_by_what_was_judged_by_its_last_state() {
    let server = Server::start().await;
    let mut process = Process::start(&server.url(), "s").await;
    take(&mut process, [change("k", 1, 1, 0, Some("1")), change("k", 1, 2, 1, Some("2"))]).await;
    for (seq, previous) in [(3, 1), (3, 0)] {
        let stale = writes([change("k", 1, seq, previous, Some("stale"))]);
        let refused = process.try_flush(2, &stale).await.unwrap_err();
        assert!(matches!(refused, Trouble::Again(_)), "{refused:?}");
    }
    // A record that is judged by one that is not there may be a forgotten tombstone's: it is made.
    take(&mut process, [change("gone", 1, 3, 1, Some("again"))]).await;
    assert_eq!(read(&process, "k").await.unwrap().seq, 2);
    assert_eq!(read(&process, "gone").await.unwrap().previous, 1);
}

#[tokio::test]
async fn a_tombstone_is_forgotten_only_while_it_is_its_records_last_state() {
    let server = Server::start().await;
    let mut process = Process::start(&server.url(), "s").await;
    take(&mut process, [change("k", 1, 1, 0, Some("v")), change("k", 1, 2, 1, None)]).await;
    let old = read(&process, "k").await.unwrap();
    take(&mut process, [change("k", 1, 3, 2, Some("again"))]).await;
    let alive = read(&process, "k").await.unwrap();
    take(&mut process, [change("k", 1, 4, 3, None)]).await;
    for other in [old, alive] {
        assert!(!tables::drop_record(&mut process.connection, &other).await.unwrap());
    }
    let last = read(&process, "k").await.unwrap();
    assert!(tables::drop_record(&mut process.connection, &last).await.unwrap());
}

#[tokio::test]
async fn positions_only_rise_and_a_stale_one_raises_nothing() {
    let server = Server::start().await;
    let mut process = Process::start(&server.url(), "s").await;
    let shards: Vec<_> = ShardId::all().take(2).collect();
    let advance = |shard, from, to| Advance { shard, from, to };
    tables::advance(&mut process.connection, &[advance(shards[0], 0, 3), advance(shards[1], 0, 5)]).await.unwrap();
    for (from, to) in [(0, 4), (3, 3), (3, 2), (5, 6)] {
        let refused = tables::advance(&mut process.connection, &[advance(shards[0], from, to)]).await.unwrap_err();
        assert!(matches!(refused, Trouble::Again(_)));
    }
    let rows = tables::read_shards(&mut process.connection, &shards).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.position).collect::<Vec<_>>(), [3, 5]);
}

#[tokio::test]
async fn a_shard_that_another_works_on_is_left_out_or_waited_for() {
    let server = Server::start().await;
    let [mut ours, mut theirs] = two(&server).await;
    let shards = [2, 1, 0].map(|index| ShardId::from_index(index).unwrap());
    let mut holds = theirs.connection.begin().await.unwrap();
    tables::lock_shards(&mut holds, &shards[1..2], Lock::Wait).await.unwrap();
    let mut tx = ours.connection.begin().await.unwrap();
    let got = tables::lock_shards(&mut tx, &shards, Lock::Skip).await.unwrap();
    assert_eq!(got.iter().map(|row| row.shard.index()).collect::<Vec<_>>(), [0, 2], "in one order for everybody");
    let advance = Advance { shard: shards[1], from: 0, to: 7 };
    tables::advance(&mut holds, &[advance]).await.unwrap();
    let (waited, committed) = tokio::join!(tables::lock_shards(&mut tx, &shards, Lock::Wait), holds.commit());
    committed.unwrap();
    assert_eq!(waited.unwrap()[1].position, 7, "as of the moment when the lock was got");
}
