//! A PostgreSQL that is read-only, cut off, silent, or killed. (A disk of its own that is full cannot be made without the
//! system's help; it is answered by the same class of errors as on SQLite.)

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_testkit::{Fault, FaultProxy, Postgres as Server};
use tonic::Code;
use uuid::Uuid;

use super::{OPEN, ask, done, guard, patiently, serve, submission};
use crate::domain::invocation::Status;
use crate::queue::{Grant, Queue, Submission};
use crate::store::postgres::Postgres;

/// A refusal by an open breaker comes at once: a database would have taken longer.
const AT_ONCE: Duration = Duration::from_millis(100);
/// The longest that anything waits before it tries the database again by itself.
const BETWEEN_TRIES: Duration = Duration::from_secs(1);
/// How often it is looked whether sockets are still opened: with each call, where no breaker keeps from it.
const WINDOWS_MAX: usize = 5;

struct Bench {
    server: Server,
    proxy: FaultProxy,
    queue: Queue,
}

impl Bench {
    async fn start() -> Self {
        Self::with(OPEN).await
    }

    /// With breakers that stay open for so long.
    async fn with(open: Duration) -> Self {
        let server = Server::start().await;
        let proxy = FaultProxy::to(SocketAddr::from(([127, 0, 0, 1], server.port()))).await;
        let (guard, batches, committed) = guard(open);
        let deliver = guard.deliver(move |batch| {
            let _ = batches.send(batch);
        });
        let url = format!("postgres://holdfast@{}/postgres", proxy.address());
        let store = guard.over(Postgres::open(&url, Duration::ZERO, deliver).await.unwrap());
        let queue = serve(Arc::new(store), committed).await;
        Self { server, proxy, queue }
    }

    /// One that waits, and one that runs.
    async fn work(&self) -> (Uuid, Grant) {
        let running = self.queue.enqueue(submission()).await.unwrap().id;
        let grant = self.queue.lease(ask()).await.unwrap().remove(0);
        assert_eq!(grant.record.accepted.id, running);
        (self.queue.enqueue(submission()).await.unwrap().id, grant)
    }

    /// Submits until a breaker answers: that is at once, and says that nothing can have happened.
    async fn refused(&self) {
        self.refuses(submission()).await;
    }

    async fn refuses(&self, submission: Submission) {
        loop {
            let begun = Instant::now();
            let refused = self.queue.enqueue(submission.clone()).await.unwrap_err();
            assert_eq!(refused.code(), Code::Unavailable, "{refused}");
            assert!(refused.retry_after().is_some(), "{refused}");
            if begun.elapsed() < AT_ONCE && !refused.may_have_happened() {
                return;
            }
        }
    }

    /// All is well again: what waited is leased, what ran is completed, and new work is taken.
    async fn heals(&self, (waiting, grant): (Uuid, Grant)) {
        let completed = patiently(async || self.queue.settle(None, &grant.token, done()).await).await;
        assert_eq!(completed.status, Status::Succeeded);
        patiently(async || self.queue.enqueue(submission()).await).await;
        loop {
            let mut leased = self.queue.lease(ask()).await.unwrap();
            if leased.pop().is_some_and(|grant| grant.record.accepted.id == waiting) {
                return;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_postgresql_refuses_serves_reads_and_heals_alone() {
    let bench = Bench::start().await;
    let keyed = || Submission { idempotency_key: Some("k".into()), agent: "b".into(), ..submission() };
    let first = bench.queue.enqueue(keyed()).await.unwrap().id;
    let work = bench.work().await;
    // New sessions have it, so the old ones go.
    let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'holdfast%'";
    bench.server.query("ALTER ROLE holdfast SET default_transaction_read_only = on").await;
    bench.server.query(others).await;
    bench.refused().await;
    let read = patiently(async || bench.queue.get(None, work.0).await).await;
    assert_eq!(read.standing.status(), Status::Queued, "reads are served");
    let told = patiently(async || bench.queue.enqueue(keyed()).await).await;
    assert_eq!((told.id, told.created), (first, false), "a repeat is told of its first");
    let well = "BEGIN READ WRITE; ALTER ROLE holdfast RESET default_transaction_read_only; COMMIT";
    bench.server.query(well).await;
    bench.server.query(others).await;
    bench.heals(work).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_that_is_cut_off_or_silent_keeps_nobody_waiting_and_loses_nothing() {
    for fault in [Fault::Refuse, Fault::Stall] {
        let bench = Bench::start().await;
        let work = bench.work().await;
        bench.proxy.set(fault);
        bench.refused().await;
        bench.proxy.set(Fault::None);
        bench.heals(work).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_that_is_killed_and_started_again_is_used_again() {
    let mut bench = Bench::start().await;
    let work = bench.work().await;
    bench.server.kill().await;
    bench.refused().await;
    bench.server.restart().await;
    bench.heals(work).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_breaker_opens_no_socket_to_postgresql() {
    let bench = Bench::with(Duration::from_secs(3_600)).await;
    let (waiting, _) = bench.work().await;
    bench.proxy.set(Fault::Refuse);
    // A key must be read first, so that no commit is in doubt: what became of one would be asked on and on.
    bench.refuses(Submission { idempotency_key: Some("k".into()), ..submission() }).await;
    while bench.queue.get(None, waiting).await.unwrap_err().retry_after() < Some(Duration::from_secs(3_000)) {}
    // What was on its way when the breaker opened may still arrive; then nothing does, however much is asked.
    for _ in 0..WINDOWS_MAX {
        if quiet(&bench, waiting).await {
            return;
        }
    }
    panic!("sockets are opened on and on");
}

/// Asks for longer than anything here waits between two tries: whether no socket was opened meanwhile.
async fn quiet(bench: &Bench, waiting: Uuid) -> bool {
    let (begun, before) = (Instant::now(), bench.proxy.connections());
    while begun.elapsed() < 2 * BETWEEN_TRIES {
        bench.queue.enqueue(submission()).await.unwrap_err();
        bench.queue.get(None, waiting).await.unwrap_err();
        tokio::task::yield_now().await;
    }
    bench.proxy.connections() == before
}
