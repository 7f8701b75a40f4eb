//! Commits that the disk answers with an error, stored or not.

use holdfast_storage::{Class, Failure, Waiter};
use tokio::sync::oneshot;

use crate::journal::{Command, Doubt};
use crate::{count, database, start};

/// Inserts a number in a batch whose commit is in doubt.
async fn insert_in_doubt(
    writer: &holdfast_storage::Waiters<Command, u64>,
    number: i64,
    doubt: Doubt,
) -> Result<u64, Failure> {
    let (answer, answered) = oneshot::channel();
    let (ignored, _): (Waiter<u64>, _) = oneshot::channel();
    writer.submit_all(vec![(answer, Command::Insert(number)), (ignored, Command::Doubt(doubt))]).unwrap();
    answered.await.unwrap()
}

#[tokio::test]
async fn a_commit_in_doubt_that_is_stored_is_a_success() {
    let directory = tempfile::tempdir().unwrap();
    let opened = database(&directory);
    let writer = start(&opened);
    assert_eq!(insert_in_doubt(&writer, 1, Doubt::Stored).await.unwrap(), 1);
    assert_eq!(writer.call(Command::Insert(2)).await.unwrap(), 2, "the journal kept what it decided");
    assert_eq!(count(&opened).await, 2);
}

#[tokio::test]
async fn a_commit_in_doubt_that_is_not_stored_is_a_failure() {
    let directory = tempfile::tempdir().unwrap();
    let opened = database(&directory);
    let writer = start(&opened);
    let failure = insert_in_doubt(&writer, 1, Doubt::NotStored).await.unwrap_err();
    assert_eq!(failure.class(), Class::Io);
    assert_eq!(count(&opened).await, 0);
    assert_eq!(writer.call(Command::Insert(1)).await.unwrap(), 1, "the store goes on, and the journal has forgotten");
}

#[tokio::test]
async fn a_doubt_lasts_until_the_store_answers() {
    let home = tempfile::tempdir().unwrap();
    let directory = tempfile::tempdir_in(&home).unwrap();
    let writer = start(&database(&directory));
    let (here, there) = (directory.path().to_path_buf(), home.path().join("away"));
    let insert = insert_in_doubt(&writer, 1, Doubt::StoredAndAway(here.clone(), there.clone()));
    tokio::pin!(insert);
    tokio::select! {
        answer = &mut insert => panic!("nobody can know yet: {answer:?}"),
        () = async { while !there.exists() { tokio::task::yield_now().await } } => {}
    }
    std::fs::rename(&there, &here).unwrap();
    assert_eq!(insert.await.unwrap(), 1);
}

#[tokio::test]
async fn the_count_of_commits_goes_on_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    for number in 0..3 {
        start(&database(&directory)).call(Command::Insert(number)).await.unwrap();
    }
    let opened = database(&directory);
    insert_in_doubt(&start(&opened), 3, Doubt::Stored).await.unwrap();
    assert_eq!(count(&opened).await, 4);
}
