//! The promises of the embedded store, over real files.

mod at_once;
mod doubt;
mod journal;
mod postgres;

use holdfast_storage::{Batch, Class, Database, OpenError, Reader, Waiters, Writer, WriterOptions, waiters};
use journal::{Command, Numbers, migrations};

const OPTIONS: WriterOptions = WriterOptions {
    name: "numbers",
    waiting_max: 1_000,
    bytes_max: 1 << 20,
    batch_max: 100,
    busy_poll: std::time::Duration::from_micros(300),
};

fn database(directory: &tempfile::TempDir) -> Database {
    Database::open(directory.path(), "numbers", &migrations()).unwrap()
}

fn start(database: &Database) -> Waiters<Command, u64> {
    let (deliver, answer) = waiters();
    tokio::spawn(answer);
    Writer::start(OPTIONS, database.clone(), Numbers::default(), deliver).unwrap()
}

async fn count(database: &Database) -> i64 {
    let reader = Reader::start("reader", database.clone(), 10).unwrap();
    reader.read(|tx| tx.query_row("SELECT count(*) FROM numbers", [], |row| row.get(0))).await.unwrap()
}

#[tokio::test]
async fn what_is_answered_is_stored_and_survives_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let opened = database(&directory);
    start(&opened).call(Command::Insert(7)).await.unwrap();
    drop(opened);
    assert_eq!(count(&database(&directory)).await, 1);
}

#[tokio::test]
async fn what_queues_during_a_commit_is_committed_as_one_batch() {
    let directory = tempfile::tempdir().unwrap();
    let opened = database(&directory);
    let (batches, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let writer = Writer::start(OPTIONS, opened, Numbers::default(), move |batch: Batch<u64, u64>| {
        batches.send(batch.answers.len()).unwrap();
    })
    .unwrap();
    let (go, gate) = std::sync::mpsc::channel();
    writer.submit(0, Command::Wait(std::sync::Mutex::new(gate))).unwrap();
    // The gate's batch is on its way only when nothing waits any more.
    while writer.waiting() > 0 {
        tokio::task::yield_now().await;
    }
    for number in 1..=250 {
        writer.submit(number, Command::Insert(number as i64)).unwrap();
    }
    go.send(()).unwrap();
    assert_eq!(seen.recv().await, Some(1));
    assert_eq!(seen.recv().await, Some(100), "a batch is bounded");
    assert_eq!(seen.recv().await, Some(100));
    assert_eq!(seen.recv().await, Some(50));
}

#[tokio::test]
async fn a_refused_command_fails_alone() {
    let directory = tempfile::tempdir().unwrap();
    let opened = database(&directory);
    let writer = start(&opened);
    let (first, second, again) = tokio::join!(
        writer.call(Command::Insert(1)),
        writer.call(Command::Insert(2)),
        writer.call(Command::Insert(1)),
    );
    first.unwrap();
    second.unwrap();
    assert_eq!(again.unwrap_err().class(), Class::Statement);
    assert_eq!(count(&opened).await, 2);
}

#[tokio::test]
async fn a_full_disk_is_told_and_heals_alone() {
    let directory = tempfile::tempdir().unwrap();
    let opened = database(&directory);
    let writer = start(&opened);
    writer.call(Command::Pragma("max_page_count", 1)).await.unwrap();
    let refused = writer.call(Command::Fill(64 * 1024)).await.unwrap_err();
    assert_eq!(refused.class(), Class::Full);
    assert!(refused.retry_after().is_some());
    assert!(!refused.may_have_happened());
    writer.call(Command::Pragma("max_page_count", 1_000_000)).await.unwrap();
    writer.call(Command::Fill(64 * 1024)).await.unwrap();
}

#[tokio::test]
async fn a_spoiled_connection_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let opened = database(&directory);
    let writer = start(&opened);
    writer.call(Command::Pragma("query_only", 1)).await.unwrap();
    let refused = writer.call(Command::Insert(1)).await.unwrap_err();
    assert_eq!(refused.class(), Class::ReadOnly);
    writer.call(Command::Insert(1)).await.expect("the next batch has a fresh connection");
    assert_eq!(count(&opened).await, 1);
}

#[tokio::test]
async fn a_journal_forgets_what_was_rolled_back() {
    let directory = tempfile::tempdir().unwrap();
    let opened = database(&directory);
    let writer = start(&opened);
    assert_eq!(writer.call(Command::Insert(1)).await.unwrap(), 1);
    writer.call(Command::Insert(1)).await.unwrap_err();
    assert_eq!(writer.call(Command::Insert(2)).await.unwrap(), 2, "the refused one does not count");
}

#[tokio::test]
async fn an_overfull_inbox_hands_the_command_back() {
    let directory = tempfile::tempdir().unwrap();
    let writer: Writer<u64, Command> =
        Writer::start(OPTIONS, database(&directory), Numbers::default(), |_| ()).unwrap();
    let many = (0..=OPTIONS.waiting_max as u64).map(|n| (n, Command::Insert(n as i64))).collect();
    let refused = writer.submit_all(many).unwrap_err();
    assert_eq!(refused.failure.class(), Class::Overloaded);
    assert_eq!(refused.offered.len(), OPTIONS.waiting_max + 1);
}

#[tokio::test]
async fn what_waits_is_bounded_in_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let writer: Writer<u64, Command> =
        Writer::start(OPTIONS, database(&directory), Numbers::default(), |_| ()).unwrap();
    let (go, gate) = std::sync::mpsc::channel();
    writer.submit(0, Command::Wait(std::sync::Mutex::new(gate))).unwrap();
    while writer.waiting() > 0 {
        tokio::task::yield_now().await;
    }
    writer.submit(1, Command::Fill(2 << 20)).expect("one is taken, however large");
    let refused = writer.submit(2, Command::Fill(1)).unwrap_err();
    assert_eq!(refused.failure.class(), Class::Overloaded);
    go.send(()).unwrap();
    while writer.waiting() > 0 {
        tokio::task::yield_now().await;
    }
    writer.submit(2, Command::Fill(1)).expect("there is room again");
}

#[tokio::test]
async fn a_second_opening_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let _first = database(&directory);
    let second = Database::open(directory.path(), "numbers", &migrations()).unwrap_err();
    assert!(matches!(second, OpenError::InUse { .. }));
}

#[tokio::test]
async fn a_directory_that_is_a_file_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("taken");
    std::fs::write(&path, "").unwrap();
    let refused = Database::open(&path, "numbers", &migrations()).unwrap_err();
    assert!(refused.to_string().contains("taken"), "{refused}");
}

#[tokio::test]
async fn a_read_whose_caller_has_gone_is_broken_off() {
    let directory = tempfile::tempdir().unwrap();
    let opened = database(&directory);
    let reader = Reader::start("reader", opened.clone(), 10).unwrap();
    let (begun, begins) = tokio::sync::oneshot::channel();
    let endless = reader.read(move |tx| {
        begun.send(()).unwrap();
        let forever = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
        tx.query_row(forever, [], |row| row.get::<_, i64>(0))
    });
    tokio::select! {
        _ = endless => panic!("it never ends"),
        () = async { begins.await.unwrap() } => {}
    }
    // It may not have come to its statement when its caller went: then those who come after break it off.
    let after = loop {
        let next = reader.read(|tx| tx.query_row("SELECT 7", [], |row| row.get::<_, i64>(0)));
        match tokio::time::timeout(std::time::Duration::from_millis(50), next).await {
            Ok(answer) => break answer.unwrap(),
            Err(_) => continue,
        }
    };
    assert_eq!(after, 7);
}
