//! A connection that is lost in the middle of a commit.

use std::net::SocketAddr;

use holdfast_storage::Failure;
use holdfast_testkit::{Fault, FaultProxy};
use sqlx::{Connection, PgConnection};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{Shared, process_at};
use crate::store::conformance::{
    Port, accept, accept_command, accept_leased, accepted, cancel, complete, settle, settle_command,
};
use crate::store::{Answer, Command, Gone, Settlement};

/// Every commit that stores something waits for a lock first.
const HOLD: &str = "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER hold AFTER INSERT OR DELETE ON s.live DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION hold()";

/// Whether one waits for it.
const WAITS: &str = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)";
/// Whoever waits for it is gone.
const KILL: &str =
    "SELECT bool_and(pg_terminate_backend(pid, 10000)) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";

struct Held {
    server: Shared,
    proxy: FaultProxy,
    port: Port,
    gate: PgConnection,
    /// What it has leased, and by which lease.
    work: (Uuid, Uuid),
}

impl Held {
    /// A process whose next commit waits, behind a line that can be cut.
    async fn start() -> Self {
        let server = Shared::start().await;
        let target: SocketAddr = format!("127.0.0.1:{}", server.0.port()).parse().unwrap();
        let proxy = FaultProxy::to(target).await;
        let url = format!("postgres://holdfast@127.0.0.1:{}/postgres", proxy.address().port());
        let port: Port = process_at(&url, "s").await;
        let work = accept_leased(&port).await;
        let mut gate = PgConnection::connect(&server.0.url()).await.unwrap();
        sqlx::raw_sql(HOLD).execute(&mut gate).await.unwrap();
        sqlx::query("SELECT pg_advisory_lock(42)").execute(&mut gate).await.unwrap();
        Self { server, proxy, port, gate, work }
    }

    /// Accepts one; what is answered comes later.
    async fn accept_one(&mut self) -> (Uuid, oneshot::Receiver<Result<Answer, Failure>>) {
        let one = accepted();
        (one.id, self.ask_for(accept_command(&one)).await)
    }

    /// Completes what is leased, likewise.
    async fn complete(&mut self) -> oneshot::Receiver<Result<Answer, Failure>> {
        let (id, lease) = self.work;
        self.ask_for(settle_command(id, complete(lease))).await
    }

    async fn ask_for(&mut self, command: Command) -> oneshot::Receiver<Result<Answer, Failure>> {
        let (waiter, answer) = oneshot::channel();
        assert!(self.port.submit(vec![(waiter, command)]).is_ok());
        while !self.ask(WAITS).await {}
        answer
    }

    async fn ask(&mut self, question: &'static str) -> bool {
        sqlx::query_scalar(question).fetch_one(&mut self.gate).await.unwrap()
    }
}

#[tokio::test]
async fn a_commit_that_is_stored_is_a_success_though_its_answer_was_lost() {
    let mut held = Held::start().await;
    let (id, mut answer) = held.accept_one().await;
    held.proxy.set(Fault::LoseReply);
    sqlx::query("SELECT pg_advisory_unlock(42)").execute(&mut held.gate).await.unwrap();
    while !held.ask("SELECT count(*) = 2 FROM s.live").await {}
    assert!(answer.try_recv().is_err(), "nobody can know yet");
    held.proxy.set(Fault::None);
    assert!(matches!(answer.await.unwrap(), Ok(Answer::Accepted(_))));
    assert!(held.port.get(id, None, false).await.unwrap().is_some());
}

#[tokio::test]
async fn a_commit_that_is_not_stored_is_tried_again() {
    let mut held = Held::start().await;
    let (id, mut answer) = held.accept_one().await;
    assert!(held.ask(KILL).await);
    while !held.ask(WAITS).await {}
    assert!(answer.try_recv().is_err() && held.port.get(id, None, false).await.unwrap().is_none());
    sqlx::query("SELECT pg_advisory_unlock(42)").execute(&mut held.gate).await.unwrap();
    assert!(matches!(answer.await.unwrap(), Ok(Answer::Accepted(_))));
    assert!(held.port.get(id, None, false).await.unwrap().is_some());
    drop(held.server);
}

#[tokio::test]
async fn a_completion_that_is_stored_is_a_success_though_its_answer_was_lost() {
    let mut held = Held::start().await;
    let mut answer = held.complete().await;
    held.proxy.set(Fault::LoseReply);
    sqlx::query("SELECT pg_advisory_unlock(42)").execute(&mut held.gate).await.unwrap();
    while !held.ask("SELECT count(*) = 0 FROM s.live").await {}
    assert!(answer.try_recv().is_err(), "nobody can know yet");
    held.proxy.set(Fault::None);
    let Ok(Answer::Settled(settlement)) = answer.await.unwrap() else { panic!("it is settled") };
    assert!(matches!(*settlement, Settlement::Now { .. }), "{settlement:?}");
    let other = settle(&held.port, held.work.0, complete(Uuid::now_v7())).await;
    assert!(matches!(other, Settlement::Refused(Gone::LeaseLost)), "{other:?}");
}

#[tokio::test]
async fn a_completion_that_is_not_stored_is_tried_again_and_takes_effect_once() {
    let mut held = Held::start().await;
    let answer = held.complete().await;
    assert!(held.ask(KILL).await);
    while !held.ask(WAITS).await {}
    sqlx::query("SELECT pg_advisory_unlock(42)").execute(&mut held.gate).await.unwrap();
    let Ok(Answer::Settled(settlement)) = answer.await.unwrap() else { panic!("it is settled") };
    assert!(matches!(*settlement, Settlement::Now { .. }), "{settlement:?}");
    let again = settle(&held.port, held.work.0, complete(held.work.1)).await;
    assert!(matches!(again, Settlement::Before { .. }), "{again:?}");
}

#[tokio::test]
async fn a_row_that_is_inconsistent_does_not_fail_its_neighbours() {
    let server = Shared::start().await;
    let port: Port = server.process("s").await;
    let (broken, neighbour) = (accepted(), accepted());
    accept(&port, &broken).await;
    server.0.query(&format!("DELETE FROM s.live WHERE id = '{}'", broken.id)).await;
    let commands = [settle_command(broken.id, cancel()), accept_command(&neighbour)];
    let (answers, commands): (Vec<_>, Vec<_>) = commands
        .into_iter()
        .map(|command| {
            let (waiter, answer) = oneshot::channel();
            (answer, (waiter, command))
        })
        .unzip();
    assert!(port.submit(commands).is_ok());
    let answers = futures::future::join_all(answers).await;
    assert!(answers[0].as_ref().unwrap().is_err(), "it has neither a life nor an end");
    assert!(matches!(answers[1].as_ref().unwrap(), Ok(Answer::Accepted(_))));
}
