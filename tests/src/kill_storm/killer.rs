//! Who kills, in a random order, and starts again what was killed.

use std::collections::BTreeMap;
use std::time::Duration;

use holdfast_config::Peer;
use holdfast_rpc::time::now_micros;
use holdfast_testkit::Mesh;
use rand::RngExt;
use tokio::time::{Instant, sleep_until};

use super::Stage;

/// What can be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    /// A queue process, by its number.
    Queue(u16),
    /// A worker process, by its place.
    Worker(usize),
    /// The gateway.
    Gateway,
    /// The database of the queues.
    Postgres,
}

impl Victim {
    /// Under which it is counted.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Queue(_) => "queue",
            Self::Worker(_) => "worker",
            Self::Gateway => "gateway",
            Self::Postgres => "postgres",
        }
    }
}

/// A time in which workers could not reach a queue: from a kill until the victim was healthy again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outage {
    pub(super) from: i64,
    pub(super) to: i64,
}

pub(super) struct Killer {
    pub(super) stage: Stage,
    pub(super) kills: BTreeMap<&'static str, u32>,
    pub(super) outages: Vec<Outage>,
    /// Shuffled anew whenever all had their turn, so that no kind is forgotten.
    turns: Vec<Victim>,
}

impl Killer {
    pub(super) fn new(stage: Stage) -> Self {
        Self { stage, kills: BTreeMap::new(), outages: Vec::new(), turns: Vec::new() }
    }

    pub(super) fn mesh(&self) -> &Mesh {
        &self.stage.mesh
    }

    /// Waits for the next kill; false where the storm is over before it.
    pub(super) async fn pause(&self, every: Duration, until: Option<Instant>) -> bool {
        let next = Instant::now() + every.mul_f64(rand::rng().random_range(0.5..1.5));
        sleep_until(until.map_or(next, |until| next.min(until))).await;
        until.is_none_or(|until| next < until)
    }

    /// How many were killed so far.
    pub(super) fn killed(&self) -> u32 {
        self.kills.values().sum()
    }

    /// Kills the next victim, and starts it again.
    pub(super) async fn strike(&mut self) {
        let victim = self.next();
        let from = now_micros();
        match victim {
            Victim::Queue(index) => {
                self.stage.mesh.kill_queue(index).await;
                self.stage.mesh.restart_queue(index).await;
                self.is_back(from);
            }
            Victim::Gateway => {
                self.stage.mesh.kill(Peer::Gateway).await;
                self.stage.mesh.restart(Peer::Gateway).await;
                self.is_back(from);
            }
            Victim::Postgres => {
                self.stage.postgres.as_mut().expect("only a stage that has one offers it").restart().await;
                self.is_back(from);
            }
            Victim::Worker(place) => {
                self.stage.workers[place].kill().await;
                let killed_at = now_micros();
                let mine = self.stage.lives.iter_mut().rev().find(|life| life.place == place);
                mine.expect("every place has a life").killed_at = Some(killed_at);
                self.stage.workers[place] = self.stage.worker(place);
            }
        }
        *self.kills.entry(victim.kind()).or_default() += 1;
    }

    fn is_back(&mut self, from: i64) {
        self.outages.push(Outage { from, to: now_micros() });
    }

    fn next(&mut self) -> Victim {
        if self.turns.is_empty() {
            let queues = (0..self.stage.mesh.queues()).map(Victim::Queue);
            let workers = (0..self.stage.workers.len()).map(Victim::Worker);
            let postgres = self.stage.postgres.iter().map(|_| Victim::Postgres);
            self.turns = queues.chain(workers).chain(postgres).chain([Victim::Gateway]).collect();
        }
        self.turns.swap_remove(rand::rng().random_range(0..self.turns.len()))
    }
}
