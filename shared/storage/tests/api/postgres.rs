//! The promises of the shared store, over a real server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use holdfast_storage::{
    Applied, Class, Failure, Ledger, OpenError, Postgres, PostgresOptions, Trouble, Waiter, Witness, WriterOptions,
    Wrote, waiters,
};
use holdfast_testkit::Postgres as Server;
use sqlx::PgConnection;
use tokio::sync::oneshot;

pub(super) const MIGRATIONS: [(i64, &str); 1] =
    [(1, "CREATE TABLE numbers (number bigint PRIMARY KEY CHECK (number <> 13))")];
pub(super) const OPTIONS: WriterOptions = WriterOptions {
    name: "numbers",
    waiting_max: 1_000,
    bytes_max: 1 << 20,
    batch_max: 100,
    busy_poll: std::time::Duration::from_micros(300),
};

const CONFLICT: &str = "DO $$ BEGIN RAISE EXCEPTION 'deadlock' USING ERRCODE = '40P01'; END $$";
const BREAK: &str = "SELECT pg_terminate_backend(pg_backend_pid())";

/// Keeps numbers. Answers with how many its batch had.
#[derive(Default)]
struct Numbers {
    /// What comes in between of a batch, once for each.
    disturbances: Vec<&'static str>,
    /// How often what it knows of rows was no longer sure.
    unsure: Arc<AtomicUsize>,
}

impl Ledger for Numbers {
    type Command = i64;
    type Answer = usize;

    async fn apply(&mut self, tx: &mut PgConnection, numbers: &[i64], _: Witness) -> Result<Applied<usize>, Trouble> {
        sqlx::query("INSERT INTO numbers SELECT unnest($1::bigint[])").bind(numbers).execute(&mut *tx).await?;
        if let Some(disturbance) = self.disturbances.pop() {
            sqlx::raw_sql(disturbance).execute(&mut *tx).await?;
        }
        Ok(Applied { answers: vec![numbers.len(); numbers.len()], wrote: Wrote::Rows })
    }

    fn rolled_back(&mut self) {
        self.unsure.fetch_add(1, Ordering::Relaxed);
    }
}

pub(super) type Writer = holdfast_storage::Writer<Waiter<usize>, i64>;

pub(super) async fn open(url: &str, migrations: &[(i64, &'static str)]) -> Result<Postgres, OpenError> {
    Postgres::open(
        PostgresOptions { url, schema: "numbers", name: "test", reads_max: 2, lists_max: 2, duties_max: 2 },
        migrations,
    )
    .await
}

fn start(database: &Postgres, ledger: Numbers) -> Writer {
    let (deliver, answer) = waiters();
    tokio::spawn(answer);
    Writer::start_on_postgres(OPTIONS, database, ledger, deliver).unwrap()
}

pub(super) async fn insert(writer: &Writer, numbers: &[i64]) -> Vec<Result<usize, Failure>> {
    let (commands, answers): (Vec<_>, Vec<_>) = numbers
        .iter()
        .map(|number| {
            let (waiter, answer) = oneshot::channel();
            ((waiter, *number), answer)
        })
        .unzip();
    writer.submit_all(commands).unwrap();
    let mut all = Vec::new();
    for answer in answers {
        all.push(answer.await.unwrap());
    }
    all
}

pub(super) async fn stored(database: &Postgres) -> Result<Vec<i64>, Failure> {
    let numbers = sqlx::query_scalar("SELECT number FROM numbers ORDER BY number").fetch_all(database.reads()).await;
    numbers.map_err(Failure::from)
}

#[tokio::test]
async fn what_is_submitted_together_is_stored_together_and_one_bad_command_fails_alone() {
    let server = Server::start().await;
    let database = open(&server.url(), &MIGRATIONS).await.unwrap();
    let writer = start(&database, Numbers { disturbances: vec![CONFLICT; 3], ..Numbers::default() });
    let answers = insert(&writer, &[1, 2, 3]).await;
    assert!(answers.iter().all(|answer| matches!(answer, Ok(3))), "a conflict with others is tried again: {answers:?}");
    let answers = insert(&writer, &[4, 13, 5]).await;
    assert!(matches!(&answers[..], [Ok(1), Err(bad), Ok(1)] if bad.class() == Class::Statement), "{answers:?}");
    assert_eq!(stored(&database).await.unwrap(), [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn what_breaks_with_its_connection_before_the_commit_is_tried_again() {
    let server = Server::start().await;
    let database = open(&server.url(), &MIGRATIONS).await.unwrap();
    let writer = start(&database, Numbers { disturbances: vec![BREAK], ..Numbers::default() });
    let answers = insert(&writer, &[1, 2]).await;
    assert!(answers.iter().all(|answer| matches!(answer, Ok(2))), "{answers:?}");
    assert_eq!(stored(&database).await.unwrap(), [1, 2]);
}

#[tokio::test]
async fn a_server_that_is_gone_is_a_failure_that_heals() {
    let mut server = Server::start().await;
    let database = open(&server.url(), &MIGRATIONS).await.unwrap();
    let writer = start(&database, Numbers::default());
    insert(&writer, &[1]).await.remove(0).unwrap();
    server.kill().await;
    let failure = insert(&writer, &[2]).await.remove(0).unwrap_err();
    assert!(failure.is_outage() && failure.heals() && !failure.may_have_happened(), "{failure}");
    server.restart().await;
    while insert(&writer, &[3]).await.remove(0).is_err() {}
    // Reads find their connections dead, and others in their place.
    assert_eq!(stored(&database).await.unwrap(), [1, 3]);
}

/// Whoever is behind another connection may know nothing of what was stored last.
#[tokio::test]
async fn a_ledger_learns_that_its_transactions_go_to_another_connection() {
    let server = Server::start().await;
    let database = open(&server.url(), &MIGRATIONS).await.unwrap();
    let numbers = Numbers::default();
    let unsure = Arc::clone(&numbers.unsure);
    let writer = start(&database, numbers);
    let mut learnt = Vec::new();
    for number in 1..=3 {
        if number == 3 {
            let others = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity \
                WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
            server.query(others).await;
        }
        insert(&writer, &[number]).await.remove(0).expect("nobody notices");
        learnt.push(unsure.load(Ordering::Relaxed));
    }
    assert_eq!(learnt, [1, 1, 2]);
}

#[tokio::test]
async fn a_newer_schema_and_an_unusable_server_are_named_without_secrets() {
    let server = Server::start().await;
    open(&server.url(), &[MIGRATIONS[0], (2, "CREATE TABLE more ()")]).await.unwrap();
    let newer = open(&server.url(), &MIGRATIONS).await.unwrap_err();
    assert!(matches!(&newer, OpenError::NewerSchema { schema, .. } if schema == "numbers"), "{newer}");
    let nowhere = open("postgres://user:secret@127.0.0.1:1/db", &MIGRATIONS).await.unwrap_err().to_string();
    assert!(nowhere.contains("127.0.0.1:1/db") && !nowhere.contains("secret"), "{nowhere}");
    let nonsense = open("nonsense", &MIGRATIONS).await.unwrap_err();
    assert!(matches!(nonsense, OpenError::Url { .. }));
}

/// An error undoes what was asked; what ends the session says nothing about it.
#[tokio::test]
async fn what_ends_a_session_is_trouble_with_the_connection_whatever_its_code() {
    let server = Server::start().await;
    server.query("CREATE DATABASE closed ALLOW_CONNECTIONS false").await;
    let closed = open(&server.url().replace("/postgres", "/closed"), &MIGRATIONS).await.unwrap_err();
    assert!(matches!(&closed, OpenError::Server { failure, .. } if failure.class() == Class::Io), "{closed:?}");
}

/// A batch is parted after a command that is at fault: nothing may stay begun behind it.
#[tokio::test]
async fn no_transaction_is_left_open_behind_a_batch_that_was_parted() {
    let server = Server::start().await;
    let database = open(&server.url(), &MIGRATIONS).await.unwrap();
    let writer = start(&database, Numbers::default());
    insert(&writer, &[4, 13, 5]).await;
    let idle = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'test' AND state LIKE 'idle in%'";
    assert_eq!(server.query(idle).await, "0");
}

#[tokio::test]
async fn processes_that_start_together_bring_the_tables_up_to_date_once() {
    let server = Server::start().await;
    let url = server.url();
    let starts = (0..4).map(|_| open(&url, &MIGRATIONS));
    for started in futures::future::join_all(starts).await {
        started.unwrap();
    }
}
