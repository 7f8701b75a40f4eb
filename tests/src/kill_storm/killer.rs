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
    /// A queue process.
    Queue,
    /// A worker process, by its place.
    Worker(usize),
    /// The gateway.
    Gateway,
}

impl Victim {
    /// Under which it is counted.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Worker(_) => "worker",
            Self::Gateway => "gateway",
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
    pub(super) async fn pause(&self, every: Duration, until: Instant) -> bool {
        let next = Instant::now() + every.mul_f64(rand::rng().random_range(0.5..1.5));
        sleep_until(next.min(until)).await;
        next < until
    }

    /// Kills the next victim, and starts it again.
    pub(super) async fn strike(&mut self) {
        let victim = self.next();
        let from = now_micros();
        match victim {
            Victim::Queue => self.service(Peer::Queue, from).await,
            Victim::Gateway => self.service(Peer::Gateway, from).await,
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

    async fn service(&mut self, peer: Peer, from: i64) {
        self.stage.mesh.kill(peer).await;
        self.stage.mesh.restart(peer).await;
        self.outages.push(Outage { from, to: now_micros() });
    }

    fn next(&mut self) -> Victim {
        if self.turns.is_empty() {
            let workers = (0..self.stage.workers.len()).map(Victim::Worker);
            self.turns = [Victim::Queue, Victim::Gateway].into_iter().chain(workers).collect();
        }
        self.turns.swap_remove(rand::rng().random_range(0..self.turns.len()))
    }
}
