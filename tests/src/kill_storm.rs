//! Load through the gateway while processes are killed with SIGKILL: queues, workers, the gateway, and the database.
//!
//! What counts is what the workers themselves wrote down. An execution is a *repeat* when the invocation was begun before.
//! It is *with cause* when the lease of the one before really was lost: its worker was killed, or for longer than the
//! grace nobody could reach a queue. Every other repeat is a fault.

mod killer;
mod load;
mod records;
mod verdict;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use holdfast_config::Peer;
use holdfast_testkit::{Mesh, MeshBuilder, Postgres, Process, executable};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::Instant;

use self::killer::Killer;
use self::records::Life;

pub use self::killer::Victim;
pub use self::records::{Note, What};

/// The agent type of all the work.
pub const AGENT: &str = "storm";

/// How long the mesh has to end everything after the storm.
const CALM_WITHIN: Duration = Duration::from_secs(90);

/// How it blows.
#[derive(Debug, Clone)]
pub struct Storm {
    /// For how long,
    pub lasts: Duration,
    /// and until so many were killed, however slowly a machine starts them again.
    pub kills_min: u32,
    /// From one kill to the next, on average.
    pub every: Duration,
    /// Worker processes.
    pub workers: usize,
    /// Submissions in a second.
    pub rate: u32,
    /// How long a lease lasts.
    pub lease_ttl: &'static str,
}

impl Storm {
    /// Three minutes of it.
    pub const FULL: Self = Self {
        lasts: Duration::from_secs(180),
        kills_min: 0,
        every: Duration::from_secs(1),
        workers: 4,
        rate: 200,
        lease_ttl: "10s",
    };
    /// A few gusts.
    pub const SHORT: Self = Self {
        lasts: Duration::from_secs(4),
        kills_min: 4,
        every: Duration::from_millis(600),
        workers: 2,
        rate: 60,
        lease_ttl: "3s",
    };
}

/// What was done and found.
#[derive(Debug, Default)]
pub struct Report {
    /// Kills by what was killed.
    pub kills: BTreeMap<&'static str, u32>,
    /// Invocations acknowledged to callers.
    pub acknowledged: usize,
    /// Acknowledged ones that succeeded.
    pub completed: usize,
    /// Acknowledged ones that have not succeeded: what they are instead.
    pub lost: Vec<String>,
    /// Invocations with more than one end, or an execution begun after the end.
    pub ended_twice: Vec<String>,
    /// Invocations that nobody was acknowledged.
    pub strangers: usize,
    /// What workers began.
    pub executions: usize,
    /// Repeats by their cause.
    pub repeats: BTreeMap<&'static str, u32>,
    /// Repeats without one.
    pub without_cause: Vec<String>,
    /// From a worker's kill until its work was begun elsewhere, where no queue was killed in between: a queue that starts
    /// gives every lease its full time again.
    pub taken_over_after: Vec<Duration>,
    /// The longest that no queue could be reached.
    pub longest_outage: Duration,
}

impl Report {
    /// Whether every promise held.
    pub fn holds(&self) -> bool {
        self.lost.is_empty() && self.ended_twice.is_empty() && self.without_cause.is_empty() && self.strangers == 0
    }

    /// Whether enough was killed, of each kind, and enough was done in spite of it.
    pub fn was_a_storm(&self, storm: &Storm) -> bool {
        let gusts = storm.lasts.div_duration_f64(storm.every);
        let wanted = storm.lasts.as_secs_f64() * f64::from(storm.rate);
        let each = self.kills.values().all(|kills| f64::from(*kills) >= gusts / 30.0);
        each && self.killed() as f64 >= gusts / 3.0 && self.completed as f64 >= wanted / 3.0
    }

    /// Kills of all kinds.
    pub fn killed(&self) -> u32 {
        self.kills.values().sum()
    }

    /// One line of figures.
    pub fn figures(&self) -> Value {
        json!({
            "kills": self.kills, "acknowledged": self.acknowledged, "completed": self.completed,
            "lost": self.lost.len(), "ended_twice": self.ended_twice.len(), "strangers": self.strangers,
            "executions": self.executions, "repeats_with_cause": self.repeats,
            "repeats_without_cause": self.without_cause.len(),
            "taken_over_p50_ms": self.taken_over(50).as_millis(), "taken_over_p99_ms": self.taken_over(99).as_millis(),
            "longest_outage_ms": self.longest_outage.as_millis(),
        })
    }

    fn taken_over(&self, percent: usize) -> Duration {
        let mut sorted = self.taken_over_after.clone();
        sorted.sort();
        sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
    }
}

/// The processes of a storm.
#[derive(Debug)]
pub struct Stage {
    mesh: Mesh,
    postgres: Option<Postgres>,
    workers: Vec<Process>,
    lives: Vec<Life>,
}

impl Stage {
    /// A mesh with one queue on the embedded store.
    pub async fn embedded(storm: &Storm) -> Self {
        let mesh = builder().config(config(storm)).start().await;
        Self::with_workers(mesh, None, storm)
    }

    /// A mesh with two queues on one PostgreSQL.
    pub async fn postgres(storm: &Storm) -> Self {
        let postgres = Postgres::start().await;
        let config = format!("{}[database]\nurl = {:?}\n", config(storm), postgres.url());
        let mesh = builder().queues(2).config(config).start().await;
        Self::with_workers(mesh, Some(postgres), storm)
    }

    fn with_workers(mesh: Mesh, postgres: Option<Postgres>, storm: &Storm) -> Self {
        let mut stage = Self { mesh, postgres, workers: Vec::new(), lives: Vec::new() };
        for place in 0..storm.workers {
            let worker = stage.worker(place);
            stage.workers.push(worker);
        }
        stage
    }

    /// Starts a worker under a name that none had before.
    fn worker(&mut self, place: usize) -> Process {
        let name = format!("worker-{}", self.lives.len());
        let records = self.records(self.lives.len());
        let mut command = Command::new(program());
        command.arg(self.mesh.url(Peer::Gateway)).arg(&name).arg(records);
        let process = Process::start(&name, command, self.mesh.directory());
        self.lives.push(Life::new(place));
        process
    }

    fn records(&self, life: usize) -> PathBuf {
        self.mesh.directory().join(format!("worker-{life}.records"))
    }
}

fn builder() -> MeshBuilder {
    Mesh::builder().only(&[Peer::Gateway, Peer::Queue, Peer::State])
}

fn config(storm: &Storm) -> String {
    format!("[gateway]\nextra_agents = [{AGENT:?}]\n[queue]\nlease_ttl = {:?}\n", storm.lease_ttl)
}

/// Stands beside the mesh's executable.
fn program() -> PathBuf {
    executable().with_file_name("storm-worker")
}

/// Lets the storm blow, waits until all is calm, and counts.
///
/// # Panics
/// Where a service does not come back.
pub async fn run(storm: &Storm, stage: Stage) -> Report {
    let load = load::Load::start(&stage.mesh, storm.rate);
    let mut killer = Killer::new(stage);
    let until = Instant::now() + storm.lasts;
    let ends = |killer: &Killer| (killer.killed() >= storm.kills_min).then_some(until);
    while killer.pause(storm.every, ends(&killer)).await {
        killer.strike().await;
    }
    let acknowledged = load.stop().await;
    let calm = verdict::calm(killer.mesh(), &acknowledged, CALM_WITHIN).await;
    verdict::count(killer, &acknowledged, calm).await
}
