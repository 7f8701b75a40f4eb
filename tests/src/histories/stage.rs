//! The processes whose records are read and written, and what is done to them meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use holdfast_config::Peer;
use holdfast_testkit::{Mesh, Postgres, Redis, Signal};
use rusqlite::{Connection, OpenFlags};
use tokio::time::sleep;

use super::pair::Pair;

/// Where it is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backing {
    /// In one process, on its files.
    Embedded,
    /// In PostgreSQL.
    Postgres,
    /// In Redis, before PostgreSQL.
    Redis,
    /// In a Redis with a replica, before PostgreSQL.
    RedisPair,
}

/// What is done to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// kill -9 of a state process, and its start.
    KillState,
    /// A state process is stopped for longer than its knowledge holds, and goes on.
    PauseState,
    /// kill -9 of PostgreSQL, and its start.
    KillPostgres,
    /// kill -9 of Redis, and its start with what reached its disk.
    KillRedis,
    /// kill -9 of Redis, whose replica takes over without the newest writes.
    FailOver,
}

impl Fault {
    /// Under which it is counted.
    pub const fn name(self) -> &'static str {
        match self {
            Self::KillState => "state_killed",
            Self::PauseState => "state_paused",
            Self::KillPostgres => "postgres_killed",
            Self::KillRedis => "redis_killed",
            Self::FailOver => "redis_failed_over",
        }
    }
}

/// How long a process knows who decides.
const DECIDER_LEASE: &str = "2s";
/// Longer than that.
const PAUSE: Duration = Duration::from_secs(3);

/// The processes.
#[derive(Debug)]
pub struct Stage {
    mesh: Mesh,
    postgres: Option<Postgres>,
    redis: Option<Redis>,
    pair: Option<Pair>,
    /// How often each fault was injected.
    pub done: BTreeMap<&'static str, u32>,
    turn: u16,
}

impl Stage {
    /// Starts so many state processes.
    pub async fn start(backing: Backing, processes: u16) -> Self {
        let postgres = if backing == Backing::Embedded { None } else { Some(Postgres::start().await) };
        let redis = if backing == Backing::Redis { Some(Redis::start().await) } else { None };
        let pair = if backing == Backing::RedisPair { Some(Pair::start().await) } else { None };
        let mut config = String::new();
        if let Some(postgres) = &postgres {
            config += &format!("[database]\nurl = {:?}\n", postgres.url());
        }
        if let Some(url) = redis.as_ref().map(Redis::url).or(pair.as_ref().map(Pair::url)) {
            config += &format!("[redis]\nurl = {url:?}\n[state]\ndecider_lease = {DECIDER_LEASE:?}\n");
        }
        let processes = if postgres.is_some() { processes } else { 1 };
        let mesh = Mesh::builder().only(&[Peer::State]).states(processes).config(config).start().await;
        Self { mesh, postgres, redis, pair, done: BTreeMap::new(), turn: 0 }
    }

    /// Where its state processes are.
    pub fn urls(&self) -> Vec<String> {
        self.mesh.urls(Peer::State)
    }

    /// The faults that it can take.
    pub fn faults(&self) -> Vec<Fault> {
        let all = [Fault::KillState, Fault::PauseState, Fault::KillPostgres, Fault::KillRedis, Fault::FailOver];
        let can = |fault: &Fault| match fault {
            Fault::KillState | Fault::PauseState => true,
            Fault::KillPostgres => self.postgres.is_some(),
            Fault::KillRedis => self.redis.is_some(),
            Fault::FailOver => self.pair.is_some(),
        };
        all.into_iter().filter(can).collect()
    }

    /// Does it, and waits until it is over.
    ///
    /// # Panics
    /// Where a process does not come back.
    pub async fn strike(&mut self, fault: Fault) {
        self.turn = (self.turn + 1) % self.mesh.several(Peer::State);
        match fault {
            Fault::KillState => {
                self.mesh.process_of(Peer::State, self.turn).kill().await;
                self.mesh.restart_of(Peer::State, self.turn).await;
            }
            Fault::PauseState => {
                let process = self.mesh.process_of(Peer::State, self.turn);
                process.signal(Signal::Stop).await;
                sleep(PAUSE).await;
                process.signal(Signal::Continue).await;
            }
            Fault::KillPostgres => self.postgres.as_mut().expect("it has one").restart().await,
            Fault::KillRedis => self.redis.as_mut().expect("it has one").restart().await,
            Fault::FailOver => self.pair.as_mut().expect("it has one").fail_over().await,
        }
        *self.done.entry(fault.name()).or_default() += 1;
    }

    /// How many epochs are known to have ended with loss.
    pub async fn epochs_lost(&self) -> usize {
        let Some(postgres) = &self.postgres else { return self.epochs_lost_in_files() };
        let count = postgres.query("SELECT count(*) FROM holdfast_state.epochs WHERE state = 'lost'").await;
        count.parse().expect("a number")
    }

    fn epochs_lost_in_files(&self) -> usize {
        let file = self.mesh.directory().join("data/state.db");
        let store = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the store is there");
        let count = "SELECT count(*) FROM epochs WHERE state = 'lost'";
        let lost: i64 = store.query_row(count, [], |row| row.get(0)).expect("it can be read beside its process");
        usize::try_from(lost).expect("a count")
    }

    /// Whether a fault can end an epoch: what decides forgets what it had not stored.
    pub fn may_lose(&self, fault: Fault) -> bool {
        match fault {
            Fault::KillRedis | Fault::FailOver => true,
            Fault::KillState => self.postgres.is_none(),
            Fault::PauseState | Fault::KillPostgres => false,
        }
    }
}
