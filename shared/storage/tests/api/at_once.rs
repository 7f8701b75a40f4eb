//! Batches that a ledger decides without reading: one statement, one transaction.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use holdfast_storage::{Applied, Class, Decided, Failure, Ledger, Postgres, Trouble, Witness, Wrote, waiters};
use holdfast_testkit::{Fault, FaultProxy, Postgres as Server};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Arguments, Connection, PgConnection, Row};
use tokio::sync::oneshot;

use super::postgres::{MIGRATIONS, OPTIONS, Writer, insert, open, stored};

/// Every commit of a number from 100 on waits for a lock first.
const HOLD: &str = "CREATE FUNCTION numbers.hold() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER hold AFTER INSERT ON numbers.numbers DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.number >= 100) EXECUTE FUNCTION numbers.hold()";
/// Whether one waits.
const WAITS: &str = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)";
/// Whether it does so at the end of its statement, and not in a COMMIT that follows it.
const IS_ALONE: &str = "SELECT bool_and(query LIKE 'WITH%') FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND NOT granted";
/// Whoever waits is gone.
const KILL: &str =
    "SELECT bool_and(pg_terminate_backend(pid, 10000)) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";

/// Keeps numbers, and believes to know that none of them is there.
#[derive(Default, Clone)]
struct Sure {
    is_unsure: Arc<AtomicBool>,
    /// Batches that were decided wrongly, from now on.
    wrong: Arc<AtomicUsize>,
    /// Batches that were stored in steps.
    in_steps: Arc<AtomicUsize>,
}

impl Ledger for Sure {
    type Command = i64;
    type Answer = usize;

    fn decide(&mut self, numbers: &[i64], witness: Witness) -> Option<Result<Decided<usize>, Trouble>> {
        if self.is_unsure.load(Ordering::Relaxed) {
            return None;
        }
        let is_right =
            self.wrong.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err();
        let leave = Witness::LEAVE.replacen('?', "$2", 1).replacen('?', "$3", 1);
        let sql = format!(
            "WITH stored AS (INSERT INTO numbers SELECT unnest($1::bigint[])), left_behind AS ({leave}) \
             SELECT 1 / $4::boolean::integer"
        );
        let mut arguments = PgArguments::default();
        arguments.add(numbers.to_vec()).unwrap();
        arguments.add(witness.writer).unwrap();
        arguments.add(witness.number).unwrap();
        arguments.add(is_right).unwrap();
        Some(Ok(Decided { answers: vec![numbers.len(); numbers.len()], statement: Some((sql, arguments)) }))
    }

    fn answered(&mut self, row: &PgRow) {
        assert_eq!(row.get::<i32, _>(0), 1);
    }

    async fn apply(&mut self, tx: &mut PgConnection, numbers: &[i64], _: Witness) -> Result<Applied<usize>, Trouble> {
        sqlx::query("INSERT INTO numbers SELECT unnest($1::bigint[])").bind(numbers).execute(tx).await?;
        self.in_steps.fetch_add(1, Ordering::Relaxed);
        Ok(Applied { answers: vec![numbers.len(); numbers.len()], wrote: Wrote::Rows })
    }

    fn committed(&mut self) {
        self.is_unsure.store(false, Ordering::Relaxed);
    }

    fn rolled_back(&mut self) {
        self.is_unsure.store(true, Ordering::Relaxed);
    }
}

fn start(database: &Postgres, ledger: Sure) -> Writer {
    let (deliver, answer) = waiters();
    tokio::spawn(answer);
    Writer::start_on_postgres(OPTIONS, database, ledger, deliver).unwrap()
}

#[tokio::test]
async fn what_is_known_is_stored_by_one_statement_that_is_a_transaction() {
    let mut held = Held::start().await;
    let (number, answer) = held.one_alone().await;
    assert!(!held.has(number).await);
    held.open().await;
    assert_eq!(answer.await.unwrap().unwrap(), 1);
    assert!(held.has(number).await);
}

#[tokio::test]
async fn what_was_decided_wrongly_is_read_and_one_bad_command_fails_alone() {
    let server = Server::start().await;
    let database = open(&server.url(), &MIGRATIONS).await.unwrap();
    let ledger = Sure::default();
    let writer = start(&database, ledger.clone());
    insert(&writer, &[1]).await.remove(0).unwrap();
    ledger.wrong.store(1, Ordering::Relaxed);
    insert(&writer, &[2]).await.remove(0).unwrap();
    assert_eq!(ledger.in_steps.load(Ordering::Relaxed), 2);
    let answers = insert(&writer, &[4, 13, 5]).await;
    assert!(matches!(&answers[..], [Ok(1), Err(bad), Ok(1)] if bad.class() == Class::Statement), "{answers:?}");
    assert_eq!(stored(&database).await.unwrap(), [1, 2, 4, 5]);
}

/// A writer behind a line that can be cut, whose commits wait.
struct Held {
    server: Server,
    proxy: FaultProxy,
    writer: Writer,
    gate: PgConnection,
    database: Postgres,
}

impl Held {
    async fn start() -> Self {
        let server = Server::start().await;
        let target: SocketAddr = format!("127.0.0.1:{}", server.port()).parse().unwrap();
        let proxy = FaultProxy::to(target).await;
        let database = open(&server.url(), &MIGRATIONS).await.unwrap();
        let through = open(&format!("postgres://holdfast@{}/postgres", proxy.address()), &MIGRATIONS).await.unwrap();
        let writer = start(&through, Sure::default());
        let mut gate = PgConnection::connect(&server.url()).await.unwrap();
        sqlx::raw_sql(HOLD).execute(&mut gate).await.unwrap();
        let mut held = Self { server, proxy, writer, gate, database };
        held.close().await;
        held
    }

    async fn close(&mut self) {
        sqlx::query("SELECT pg_advisory_lock(42)").execute(&mut self.gate).await.unwrap();
    }

    async fn open(&mut self) {
        sqlx::query("SELECT pg_advisory_unlock(42)").execute(&mut self.gate).await.unwrap();
    }

    async fn says(&mut self, question: &'static str) -> bool {
        sqlx::query_scalar(question).fetch_one(&mut self.gate).await.unwrap()
    }

    /// A number whose transaction is one statement, which waits for its end.
    async fn one_alone(&mut self) -> (i64, oneshot::Receiver<Result<usize, Failure>>) {
        for number in 100.. {
            let (waiter, answer) = oneshot::channel();
            self.writer.submit(waiter, number).unwrap();
            while !self.says(WAITS).await {}
            if self.says(IS_ALONE).await {
                return (number, answer);
            }
            self.open().await;
            answer.await.unwrap().unwrap();
            self.close().await;
        }
        unreachable!("there are more numbers than that")
    }

    async fn has(&self, number: i64) -> bool {
        stored(&self.database).await.unwrap().contains(&number)
    }
}

#[tokio::test]
async fn what_is_stored_is_a_success_though_its_answer_was_lost() {
    let mut held = Held::start().await;
    let (number, mut answer) = held.one_alone().await;
    held.proxy.set(Fault::LoseReply);
    held.open().await;
    while !held.has(number).await {}
    assert!(answer.try_recv().is_err(), "nobody can know yet");
    held.proxy.set(Fault::None);
    assert_eq!(answer.await.unwrap().unwrap(), 1);
    insert(&held.writer, &[1]).await.remove(0).expect("the next one passes");
}

#[tokio::test]
async fn what_is_not_stored_is_tried_again_where_the_server_is_there() {
    let mut held = Held::start().await;
    let (number, mut answer) = held.one_alone().await;
    assert!(held.says(KILL).await);
    while !held.says(WAITS).await {}
    assert!(answer.try_recv().is_err() && !held.has(number).await);
    held.open().await;
    assert_eq!(answer.await.unwrap().unwrap(), 1);
    assert!(held.has(number).await);
}

#[tokio::test]
async fn nobody_waits_behind_a_commit_in_doubt_and_it_is_found_out_once_the_server_is_there() {
    for stored in [true, false] {
        let mut held = Held::start().await;
        let (number, mut answer) = held.one_alone().await;
        held.proxy.set(Fault::Refuse);
        let other = insert(&held.writer, &[1]).await.remove(0).unwrap_err();
        assert!(other.is_outage() && !other.may_have_happened(), "{other}");
        assert!(answer.try_recv().is_err(), "nobody can know yet");
        if stored {
            held.open().await;
            while !held.has(number).await {}
        } else {
            assert!(held.says(KILL).await);
        }
        held.proxy.set(Fault::None);
        let answer = answer.await.unwrap();
        assert_eq!(answer.is_ok(), stored, "{answer:?}");
        assert!(!answer.is_err_and(|failure| failure.may_have_happened()));
        if !stored {
            held.open().await;
        }
        insert(&held.writer, &[2]).await.remove(0).expect("the next one passes");
    }
}

#[tokio::test]
async fn nothing_is_stored_before_what_the_server_still_works_on() {
    let mut held = Held::start().await;
    let (number, answer) = held.one_alone().await;
    // Its connection is cut, and another one could be made.
    held.proxy.set(Fault::Refuse);
    held.proxy.set(Fault::None);
    insert(&held.writer, &[1]).await.remove(0).unwrap_err();
    held.open().await;
    assert_eq!(answer.await.unwrap().unwrap(), 1);
    assert!(held.has(number).await && !held.has(1).await);
}

#[tokio::test]
async fn whoever_closes_a_writer_in_doubt_hears_that_nobody_knows() {
    let mut held = Held::start().await;
    let (_, answer) = held.one_alone().await;
    held.proxy.set(Fault::Refuse);
    insert(&held.writer, &[1]).await.remove(0).unwrap_err();
    tokio::task::spawn_blocking(move || drop(held.writer)).await.unwrap();
    assert!(answer.await.unwrap().unwrap_err().may_have_happened());
}

/// What it is told when it commits is heard, and not only that its rows were written.
#[tokio::test]
async fn what_the_server_refuses_at_the_very_end_is_no_success() {
    let mut held = Held::start().await;
    let (number, answer) = held.one_alone().await;
    held.server.query("SELECT pg_cancel_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").await;
    let failure = answer.await.unwrap().unwrap_err();
    assert_eq!(failure.class(), Class::Busy, "{failure}");
    held.open().await;
    insert(&held.writer, &[1]).await.remove(0).unwrap();
    assert!(!held.has(number).await);
}
