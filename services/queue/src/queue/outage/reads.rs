//! Reads that fail, hang or take long, while writes go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, join_all};
use holdfast_rpc::lease::LeaseKey;
use holdfast_rpc::service::Stop;
use holdfast_storage::{Class, Failure};
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, timeout};
use tonic::Code;
use uuid::Uuid;

use super::submission;
use crate::config::Config;
use crate::domain::record::Record;
use crate::domain::time::Micros;
use crate::queue::enqueue::LOOKUPS_MAX;
use crate::queue::tag::Tag;
use crate::queue::{Queue, Submission};
use crate::retention;
use crate::store::sqlite::Sqlite;
use crate::store::{Command, Filter, History, Raise, Redrives, Store, Sweep, Swept, Waiting, Window};

/// How long a look of retention takes, by the test's clock.
const LOOK: Duration = Duration::from_millis(100);

/// What is not answered by then hangs.
const HANGS: Duration = Duration::from_secs(10);

/// What reads meet.
struct Trouble {
    /// Single invocations cannot be read.
    unreadable: AtomicBool,
    /// Keys that are being looked up.
    lookups: watch::Sender<usize>,
    /// They go on by this.
    go_on: Semaphore,
    /// When each look of retention began.
    looks: Mutex<Vec<Instant>>,
}

/// A store whose reads meet trouble.
struct Troubled {
    inner: Sqlite<Tag>,
    trouble: Arc<Trouble>,
}

impl Store<Tag> for Troubled {
    fn submit(&self, commands: Vec<(Tag, Command)>) -> Result<(), (Vec<(Tag, Command)>, Failure)> {
        self.inner.submit(commands)
    }

    fn get(
        &self,
        id: Uuid,
        tenant: Option<String>,
        with_payload: bool,
    ) -> BoxFuture<'_, Result<Option<Record>, Failure>> {
        match self.trouble.unreadable.load(Ordering::SeqCst) {
            true => std::future::ready(Err(Failure::new(Class::Busy, "unreadable"))).boxed(),
            false => self.inner.get(id, tenant, with_payload),
        }
    }

    fn list(&self, filter: Filter) -> BoxFuture<'_, Result<Vec<Record>, Failure>> {
        self.inner.list(filter)
    }

    fn redriven_by(&self, past: Redrives) -> BoxFuture<'_, Result<Vec<Uuid>, Failure>> {
        self.inner.redriven_by(past)
    }

    fn history(
        &self,
        id: Uuid,
        tenant: Option<String>,
        from: u64,
        window: Window,
    ) -> BoxFuture<'_, Result<Option<History>, Failure>> {
        self.inner.history(id, tenant, from, window)
    }

    fn by_key(
        &self,
        tenant: Arc<str>,
        agent: Arc<str>,
        key: String,
        digest: [u8; 32],
        since: Micros,
    ) -> BoxFuture<'_, Result<Option<(Uuid, bool)>, Failure>> {
        self.trouble.lookups.send_modify(|lookups| *lookups += 1);
        async move {
            let _ = self.trouble.go_on.acquire().await.expect("never closed");
            self.inner.by_key(tenant, agent, key, digest, since).await
        }
        .boxed()
    }

    fn waiting(&self) -> BoxFuture<'_, Result<Vec<Waiting>, Failure>> {
        self.inner.waiting()
    }

    fn raises(&self, after: i64, limit: usize) -> BoxFuture<'_, Result<Vec<Raise>, Failure>> {
        self.inner.raises(after, limit)
    }

    /// Finds nothing, and takes its time for it. (While a thread were asked, a paused clock would run on.)
    fn sweep(&self, _: Sweep) -> BoxFuture<'_, Result<Swept, Failure>> {
        self.trouble.looks.lock().push(Instant::now());
        tokio::time::sleep(LOOK).map(|()| Ok(Swept::default())).boxed()
    }
}

struct Bench {
    queue: Queue,
    trouble: Arc<Trouble>,
    _directory: TempDir,
}

impl Bench {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (batches, committed) = mpsc::unbounded_channel();
        let deliver = move |batch| {
            let _ = batches.send(batch);
        };
        let trouble = Arc::new(Trouble {
            unreadable: AtomicBool::new(false),
            lookups: watch::Sender::new(0),
            go_on: Semaphore::new(0),
            looks: Mutex::default(),
        });
        let inner = Sqlite::open(directory.path(), Duration::ZERO, deliver).unwrap();
        let store = Arc::new(Troubled { inner, trouble: Arc::clone(&trouble) });
        let queue = Queue::start(store, committed, Config::default(), LeaseKey::new(b"k")).await.unwrap();
        Self { queue, trouble, _directory: directory }
    }
}

fn keyed(key: usize) -> Submission {
    Submission { idempotency_key: Some(key.to_string()), ..submission() }
}

#[tokio::test]
async fn a_cancel_that_cannot_be_read_afterwards_may_have_happened() {
    let bench = Bench::start().await;
    let id = bench.queue.enqueue(submission()).await.unwrap().id;
    bench.trouble.unreadable.store(true, Ordering::SeqCst);
    let refused = bench.queue.cancel(None, id, "not needed".into()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(refused.may_have_happened() && refused.retry_after().is_some(), "{refused:?}");
}

#[tokio::test]
async fn lookups_of_what_is_refused_are_bounded_and_the_next_is_refused_at_once() {
    let bench = Bench::start().await;
    let first = bench.queue.enqueue(keyed(0)).await.unwrap().id;
    // Whatever is new is refused from now on; a repeat is looked for.
    bench.queue.drain();
    let repeats: Vec<_> = (0..LOOKUPS_MAX)
        .map(|key| {
            let queue = bench.queue.clone();
            tokio::spawn(async move { queue.enqueue(keyed(key)).await })
        })
        .collect();
    bench.trouble.lookups.subscribe().wait_for(|lookups| *lookups == LOOKUPS_MAX).await.unwrap();
    let refused = timeout(HANGS, bench.queue.enqueue(keyed(0))).await.expect("it waits for no lookup").unwrap_err();
    assert!(refused.retry_after().is_some() && !refused.may_have_happened(), "{refused:?}");
    assert_eq!(*bench.trouble.lookups.borrow(), LOOKUPS_MAX, "nobody looked for it");

    bench.trouble.go_on.add_permits(1);
    let found = join_all(repeats).await.into_iter().map(Result::unwrap).filter_map(Result::ok);
    assert_eq!(found.map(|enqueued| enqueued.id).collect::<Vec<_>>(), [first], "the one that was accepted before");
    assert_eq!(bench.queue.enqueue(keyed(0)).await.unwrap().id, first, "there is room to look again");
}

#[tokio::test(start_paused = true)]
async fn retention_rests_after_each_look_longer_than_that_took() {
    let bench = Bench::start().await;
    let stop = Stop::new();
    let retention = tokio::spawn(retention::run(bench.queue.clone(), stop.clone()));
    while bench.trouble.looks.lock().len() < 12 {
        tokio::time::sleep(LOOK).await;
    }
    stop.cancel();
    retention.await.unwrap();
    let looks = bench.trouble.looks.lock();
    for pair in looks.windows(2) {
        let gap = pair[1] - pair[0];
        assert!(gap >= 5 * LOOK, "a look of {LOOK:?}, and four times as long for others: {gap:?}");
    }
}
