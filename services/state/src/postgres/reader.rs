//! Reads: whatever is asked while one read is on its way is the next read, in one statement. Each is checked against who
//! decides, of the same moment, so what it shows is the newest that anybody was ever shown.

mod ask;

use std::sync::Arc;

use holdfast_storage::{
    Class, Failure,
    gate::{Gate, Pass, judge_together, silence},
};
use sqlx::PgConnection;
use tokio::{
    sync::{Mutex, mpsc, oneshot},
    time::timeout,
};

use self::ask::Heap;
use super::{PATIENCE, known::Known};
use crate::{
    domain::{Address, Edition, EpochId, Fence, ShardId},
    failed::Failed,
    store::{
        FenceScope,
        postgres::{Store, deciding::Who},
    },
};

/// Reads under way at once.
const READERS: usize = 2;
/// Reads that may wait.
const WAITING_MAX: usize = 4_096;
/// Records in one statement: bounds what a read holds in memory, and how long it takes.
const RECORDS_MAX: usize = 256;
/// How often a read is made anew because who decides has changed.
pub(super) const TRIES: usize = 5;

/// What is asked.
#[derive(Debug, Clone)]
pub(super) enum Ask {
    /// Records as they stand.
    Records(Vec<Address>),
    /// The fence that counts in a scope.
    Fence(FenceScope),
    /// Whether this database still decides about a shard.
    Confirm(ShardId),
}

/// What is found.
#[derive(Debug, Clone)]
pub(super) enum Found {
    /// In the order of what was asked.
    Records(Vec<Option<Arc<Edition>>>),
    /// With the oldest that is remembered.
    Fence(Option<Fence>, u64),
    /// It does, in this epoch.
    Confirmed(EpochId),
    /// Another place decides.
    Elsewhere,
}

struct Waits {
    ask: Ask,
    pass: Pass,
    reply: oneshot::Sender<Result<Found, Failure>>,
}

/// The readers' handle. They end with it.
pub(super) struct Reader {
    asks: mpsc::Sender<Waits>,
    gate: Arc<Gate>,
}

impl Reader {
    pub(super) fn start(store: &Store, known: &Arc<Known>, gate: Arc<Gate>) -> Self {
        let (asks, asked) = mpsc::channel(WAITING_MAX);
        let asked = Arc::new(Mutex::new(asked));
        for _ in 0..READERS {
            let worker = Worker { store: store.clone(), known: Arc::clone(known), connection: None };
            tokio::spawn(worker.run(Arc::clone(&asked)));
        }
        Self { asks, gate }
    }

    /// Asks.
    ///
    /// # Errors
    /// The database is in trouble, or another place decides.
    pub(super) async fn ask(&self, ask: Ask) -> Result<Found, Failed> {
        let pass = self.gate.pass()?;
        let (reply, answer) = oneshot::channel();
        let waits = Waits { ask, pass: pass.clone(), reply };
        let answered = async {
            self.asks.send(waits).await.ok()?;
            answer.await.ok()
        };
        match pass.wait(answered).await {
            Some(Some(Ok(Found::Elsewhere))) => Err(Failed::Elsewhere),
            Some(Some(found)) => Ok(found?),
            Some(None) => Err(Failed::Closed { in_doubt: false }),
            None => Err(silence().into()),
        }
    }
}

struct Worker {
    store: Store,
    known: Arc<Known>,
    connection: Option<PgConnection>,
}

impl Worker {
    async fn run(mut self, asked: Arc<Mutex<mpsc::Receiver<Waits>>>) {
        loop {
            let waits = gather(&mut *asked.lock().await).await;
            if waits.is_empty() {
                return;
            }
            let heap = Heap::of(waits.iter().map(|waits| &waits.ask));
            let found = self.read(&heap).await;
            let failure = found.as_ref().err().cloned();
            judge_together(waits.iter().map(|waits| (&waits.pass, failure.as_ref())));
            let answers = match found {
                Ok(found) => heap.deal(found, waits.iter().map(|waits| &waits.ask)).into_iter().map(Ok).collect(),
                Err(failure) => vec![Err(failure); waits.len()],
            };
            for (waits, answer) in waits.into_iter().zip(answers) {
                // A caller that went away needs no answer.
                let _ = waits.reply.send(answer);
            }
        }
    }

    /// A connection that was left alone for long may have died unnoticed: another one is tried before anybody is told.
    async fn read(&mut self, heap: &Heap) -> Result<Option<ask::Pile>, Failure> {
        let was_open = self.connection.is_some();
        match self.within_patience(heap).await {
            Err(failure) if failure.class() == Class::Io && was_open => self.within_patience(heap).await,
            answer => answer,
        }
    }

    /// A connection that failed, or says nothing, is not asked again.
    async fn within_patience(&mut self, heap: &Heap) -> Result<Option<ask::Pile>, Failure> {
        let answer = timeout(PATIENCE, self.attempt(heap)).await.unwrap_or_else(|_| Err(silence()));
        if answer.is_err() {
            self.connection = None;
        }
        answer
    }

    async fn attempt(&mut self, heap: &Heap) -> Result<Option<ask::Pile>, Failure> {
        for _ in 0..TRIES {
            let known = self.known.get();
            if known.who == Who::Postgres {
                let connection = match &mut self.connection {
                    Some(open) => open,
                    none => none.insert(self.store.database().connect().await?),
                };
                if let Some(pile) = heap.read(connection, &known).await? {
                    return Ok(Some(pile));
                }
            }
            if self.known.renew(&known).await?.who != Who::Postgres {
                return Ok(None);
            }
        }
        Err(restless())
    }
}

/// Who decides has changed at every try.
pub(super) fn restless() -> Failure {
    Failure::new(Class::Busy, "who decides changes again and again")
}

/// What waits, once something does; nothing once nobody can ask any more.
async fn gather(asked: &mut mpsc::Receiver<Waits>) -> Vec<Waits> {
    let Some(first) = asked.recv().await else { return Vec::new() };
    let mut records = first.ask.records();
    let mut all = vec![first];
    while records < RECORDS_MAX
        && let Ok(next) = asked.try_recv()
    {
        records += next.ask.records();
        all.push(next);
    }
    all
}
