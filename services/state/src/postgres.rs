//! The place of decision in a PostgreSQL, for any number of processes: whatever is decided is decided under the locks of the
//! rows of its shards, by what is loaded in the same transaction. Memory holds nothing that a decision rests on.
//!
//! ```text
//!  writes ──► lane (by shard) ─┬─ one transaction: lock shards, SKIP LOCKED ─► load ─► decide ─► store ─► commit ─► answers
//!             ▲                └─ locked by others ─► patient lane: waits, for a while
//!  fences ──► lane of their own
//!  reads ───► what is asked meanwhile is one statement, of one moment with who decides
//! ```
//!
//! Invariants:
//! - Nothing is decided where a shard's row names another epoch, another decider or another server than this process knows;
//!   it reads who decides again, and asks again.
//! - An answer leaves when its transaction is committed. A commit in doubt is settled by the server before anything follows.
//! - A write holds its lease's fence FOR SHARE until it is committed; a newer fence is registered first, by itself.

mod deciding;
mod fences;
mod known;
mod lane;
mod ledger;
mod news;
mod notes;
mod order;
mod reader;
mod reads;
mod set;
mod writes;

use std::{sync::Arc, time::Duration};

use holdfast_rpc::time::now_micros;
use holdfast_storage::{
    OpenError,
    gate::{Gate, settings},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    config::Config,
    domain::ShardId,
    embedded::window::Window,
    failed::Failed,
    metrics::{self, Metrics},
    store::postgres::{
        Store,
        deciding::{Deciding, Who},
    },
};

use fences::{FenceAnswer, FenceLedger, FenceOrder};
use known::Known;
use lane::Lane;
use ledger::LaneLedger;
use news::News;
use notes::Notes;
use order::{Answer, Order};
use reader::Reader;

/// How long the database may take for an answer before whoever waits is told that it is away.
const PATIENCE: Duration = Duration::from_secs(5);
/// When to come back where too much waits: it passes within a few commits.
const RETRY_AFTER: Duration = Duration::from_millis(100);
/// Between two looks at a shard that another process holds.
const PAUSE: Duration = Duration::from_millis(10);

/// The place.
pub struct Postgres {
    store: Store,
    known: Arc<Known>,
    metrics: Metrics,
    lanes: Vec<Lane<Order, Answer>>,
    patient: Lane<Order, Answer>,
    fences: Lane<FenceOrder, FenceAnswer>,
    reader: Reader,
    reads: Arc<Gate>,
    window: Arc<Window>,
    news: Arc<News>,
    notes: Arc<Notes>,
    end: CancellationToken,
    _ends_with_it: DropGuard,
    #[cfg(feature = "planted-faults")]
    faults: Arc<crate::faults::FaultPlan>,
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Postgres").field("lanes", &self.lanes.len()).finish_non_exhaustive()
    }
}

impl Postgres {
    /// Joins the processes that decide in the database of this URL. Needs the runtime.
    ///
    /// # Errors
    /// [`OpenError`] names the server and what to do.
    pub async fn join(url: &str, config: &Config) -> Result<Self, OpenError> {
        Self::over(Store::open(url, now_micros()).await?, config).await
    }

    /// Starts over an opened store.
    ///
    /// # Errors
    /// The server does not say who decides, or the system gives no thread.
    pub async fn over(store: Store, config: &Config) -> Result<Self, OpenError> {
        let metrics = Metrics::new("postgres");
        let unusable = |failure| OpenError::Server { server: "the database".into(), failure };
        let known = Arc::new(Known::read(store.clone(), metrics.clone()).await.map_err(unusable)?);
        let (writes, reads) = (gate("state-database-writes"), gate("state-database-reads"));
        let (news, notes, end) = (Arc::<News>::default(), Arc::<Notes>::default(), CancellationToken::new());
        #[cfg(feature = "planted-faults")]
        let faults = Arc::<crate::faults::FaultPlan>::default();
        let window = Arc::new(Window::new(config.window()));
        let start = lane::Start {
            database: store.database(),
            gate: Arc::clone(&writes),
            window: Arc::clone(&window),
            metrics: metrics.clone(),
            end: end.clone(),
        };
        let ledger = |patient| LaneLedger {
            known: Arc::clone(&known),
            news: Arc::clone(&news),
            patient,
            advanced: Vec::new(),
            notes: Arc::clone(&notes),
            seen: Vec::new(),
            #[cfg(feature = "planted-faults")]
            faults: Arc::clone(&faults),
        };
        let lanes = (0..config.lanes).map(|_| start.lane("state-lane", ledger(false))).collect::<Result<_, _>>()?;
        let patient = start.lane("state-patient", ledger(true))?;
        let fences = start.lane("state-fences", FenceLedger(Arc::clone(&known)))?;
        let reader = Reader::start(&store, &known, Arc::clone(&reads));
        let looks = news::look(Arc::clone(&news), store.clone(), reads.calm());
        tokio::spawn(end.clone().run_until_cancelled_owned(looks));
        Ok(Self {
            store,
            known,
            metrics,
            lanes,
            patient,
            fences,
            reader,
            reads,
            window,
            news,
            notes,
            _ends_with_it: end.clone().drop_guard(),
            end,
            #[cfg(feature = "planted-faults")]
            faults,
        })
    }

    /// Where everything is kept.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Who decides, as it was read last.
    pub fn knowledge(&self) -> Arc<Deciding> {
        self.known.get()
    }

    /// Tells it who decides, by whoever has just changed it: it need not find out.
    pub fn learn(&self, deciding: Deciding) {
        self.known.learn(deciding);
    }

    /// The faults that are planted in it.
    #[cfg(feature = "planted-faults")]
    pub fn faults(&self) -> &crate::faults::FaultPlan {
        &self.faults
    }

    fn lane(&self, shard: ShardId, patient: bool) -> &Lane<Order, Answer> {
        if patient { &self.patient } else { &self.lanes[shard.index() % self.lanes.len()] }
    }

    /// Reads who decides again; an error where it is another place.
    async fn renew(&self, seen: &Arc<Deciding>) -> Result<(), Failed> {
        let known = self.reads.call(|| Box::pin(self.known.renew(seen))).await?;
        match known.who {
            Who::Postgres => Ok(()),
            Who::Redis { .. } => Err(Failed::Elsewhere),
        }
    }

    /// Nothing waits to be stored; the threads end with the last handle.
    async fn finish(&self) {
        self.end.cancel();
    }
}

fn gate(circuit: &'static str) -> Arc<Gate> {
    metrics::circuit_stands(circuit, holdfast_resilience::breaker::State::Closed);
    Arc::new(Gate::new(circuit, settings(), PATIENCE, metrics::circuit_changed))
}
