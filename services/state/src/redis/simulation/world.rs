//! Everything of one seed: the place, the store, the processes, and whoever calls them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use futures::future::join_all;
use holdfast_storage::{Class, Failure};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::{
    CALLERS, HEALING, PROCESSES, TROUBLE, callers,
    history::History,
    kept::Kept,
    nemesis,
    process::Life,
    random::Random,
    settings,
    store::{Desk, InStore},
    wire::Wire,
};
use crate::{
    domain::{Address, Micros, ShardId},
    place::model::Model,
    redis::{Fault, Faults, Parts, Redis, clock::Clock},
    store::Shelf,
};

/// How long a session may hold its locks without a word.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(2);

/// What kind of trouble a seed has most of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weather {
    /// All kinds.
    Mixed,
    /// Slow processes, while one that does not reach the place changes who decides.
    Parted,
    /// A place with no room, and slow processes.
    Crowded,
}

/// What all processes share.
pub(super) struct Shared {
    pub(super) random: Arc<Random>,
    pub(super) weather: Weather,
    pub(super) place: Model,
    pub(super) kept: Mutex<Kept>,
    pub(super) history: Mutex<History>,
    pub(super) store_away: AtomicBool,
    pub(super) store_silent: AtomicBool,
    pub(super) over: AtomicBool,
    /// A shard that the store refuses.
    pub(super) refused: Mutex<Option<ShardId>>,
    pub(super) marks: AtomicU64,
    pub(super) addresses: Vec<Address>,
    pub(super) faults: Faults,
    locks: AtomicU64,
    locked: Mutex<Option<(u64, Instant, Arc<Life>)>>,
    began: Instant,
}

/// The virtual clock, which runs while processes stand still.
#[derive(Debug)]
struct Virtual(Instant);

impl Clock for Virtual {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A process that runs.
#[derive(Clone)]
pub(super) struct Running {
    pub(super) life: Arc<Life>,
    pub(super) wire: Arc<Wire>,
    pub(super) decider: Arc<Redis>,
}

pub(super) struct World {
    pub(super) shared: Arc<Shared>,
    pub(super) processes: Mutex<Vec<Running>>,
}

impl Shared {
    pub(super) fn uses(&self, shard: ShardId) -> bool {
        self.addresses.iter().any(|address| address.shard() == shard)
    }

    pub(super) fn is_store_silent(&self) -> bool {
        let silent = self.store_silent.load(Relaxed) && self.random.once_in(3);
        if silent {
            self.history.lock().inject("commit in doubt");
        }
        silent
    }

    pub(super) fn now(&self) -> Micros {
        self.began.elapsed().as_micros() as Micros
    }

    pub(super) async fn until_rows_are_free(&self) {
        while self.locked.lock().as_ref().is_some_and(|(_, until, life)| *until > Instant::now() && !life.is_dead()) {
            sleep(Duration::from_millis(1)).await;
        }
    }

    pub(super) async fn lock_rows(&self, life: &Arc<Life>) -> u64 {
        self.until_rows_are_free().await;
        let lock = self.locks.fetch_add(1, Relaxed) + 1;
        *self.locked.lock() = Some((lock, Instant::now() + IDLE_IN_TRANSACTION, Arc::clone(life)));
        lock
    }

    pub(super) fn unlock_rows(&self, lock: u64) -> Result<(), Failure> {
        let mut locked = self.locked.lock();
        match locked.take_if(|(held, ..)| *held == lock) {
            Some((_, until, _)) if until > Instant::now() => Ok(()),
            _ => Err(Failure::new(Class::Io, "the session was idle for too long")),
        }
    }
}

impl World {
    pub(super) fn new(seed: u64, fault: Option<Fault>) -> Self {
        let faults = Faults::plant(fault);
        let at = |partition: &str, key: &str| Address::new("t", "n", partition, key).expect("a name");
        let addresses = vec![at("p1", "a"), at("p1", "b"), at("p2", "a"), at("p2", "b")];
        let weather = [Weather::Mixed, Weather::Parted, Weather::Crowded][(seed % 3) as usize];
        let shared = Shared {
            random: Arc::new(Random::new(seed)),
            weather,
            // Room for some of the records only.
            place: Model::new(if weather == Weather::Crowded { 400 } else { 700 }),
            kept: Mutex::new(Kept::new(faults)),
            history: Mutex::new(History::new()),
            store_away: AtomicBool::new(false),
            store_silent: AtomicBool::new(false),
            over: AtomicBool::new(false),
            refused: Mutex::new(None),
            marks: AtomicU64::new(0),
            addresses,
            faults,
            locks: AtomicU64::new(0),
            locked: Mutex::new(None),
            began: Instant::now(),
        };
        Self { shared: Arc::new(shared), processes: Mutex::default() }
    }

    pub(super) fn start(&self) -> Running {
        let shared = &self.shared;
        let life = Life::new(Arc::clone(&shared.random), !shared.over.load(Relaxed));
        let wire = Arc::new(Wire::new(Arc::clone(shared), Arc::clone(&life)));
        let desk = Desk { shared: Arc::clone(shared), life: Arc::clone(&life) };
        let parts = Parts {
            place: Arc::clone(&wire) as Arc<dyn crate::place::Place>,
            archive: Arc::new(desk.clone()),
            shelf: Arc::new(desk.clone()) as Arc<dyn Shelf>,
            store: Arc::new(InStore(desk)),
            clock: Arc::new(Virtual(shared.began)),
        };
        let decider = Arc::new(Redis::start(parts, settings(), shared.faults));
        Running { life, wire, decider }
    }

    pub(super) fn process(&self, at: usize) -> Running {
        self.processes.lock()[at].clone()
    }

    /// Starts again what is dead.
    pub(super) fn revive(&self, at: usize) {
        let dead = self.processes.lock()[at].life.is_dead();
        if dead {
            self.shared.history.lock().inject("crash");
            let next = self.start();
            // What is left of the old one does nothing any more.
            let old = std::mem::replace(&mut self.processes.lock()[at], next);
            drop(old);
        }
    }

    /// Trouble, then time to heal, then a look at everything.
    pub(super) async fn run(self) -> History {
        self.run_under(nemesis::run).await
    }

    /// The same under trouble of its own kind.
    pub(super) async fn run_under<T>(self, trouble: impl FnOnce(Arc<Self>) -> T) -> History
    where
        T: Future<Output = ()> + Send + 'static,
    {
        let world = Arc::new(self);
        for _ in 0..PROCESSES {
            let process = world.start();
            world.processes.lock().push(process);
        }
        let callers: Vec<_> = (0..CALLERS).map(|one| tokio::spawn(callers::run(Arc::clone(&world), one))).collect();
        let trouble = tokio::spawn(trouble(Arc::clone(&world)));
        sleep(TROUBLE).await;
        trouble.abort();
        nemesis::heal(&world);
        sleep(HEALING).await;
        world.shared.over.store(true, Relaxed);
        join_all(callers).await;
        callers::look_at_everything(&world).await;
        let kept = world.shared.kept.lock();
        let mut history = std::mem::replace(&mut *world.shared.history.lock(), History::new());
        history.epochs.clone_from(&kept.order);
        history.lost.clone_from(&kept.lost);
        history.stored = kept.rows.clone();
        history.stored_twice = kept.stored_twice;
        history
    }
}
