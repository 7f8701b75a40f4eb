//! What clients saw of records, judged: whether one order of all calls explains every answer.

mod answers;
pub mod clients;
pub mod linear;
mod pair;
pub mod record;
pub mod stage;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::interval;

use clients::{Histories, Load, Run};
use linear::Event;
use record::{Action, Record};
use stage::{Backing, Stage};

/// How often it is looked whether the next fault is due.
const LOOK: Duration = Duration::from_millis(20);
/// The window on CACHED writes that the service promises by default.
const CACHED_WRITES_MAX: usize = 10_000;

/// A run of clients with faults, as it is wanted.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What clients do.
    pub load: Load,
    /// Where it is decided.
    pub backing: Backing,
    /// State processes.
    pub processes: u16,
    /// Faults of each kind.
    pub faults_each: u32,
}

/// What was done and found.
#[derive(Debug)]
pub struct Report {
    /// Calls with an answer.
    pub answered: usize,
    /// Writes of which nobody can say whether they were taken.
    pub unknown: usize,
    /// Writes acknowledged as CACHED.
    pub cached: usize,
    /// Versions that were told to be gone.
    pub gone: usize,
    /// Faults by kind.
    pub faults: BTreeMap<&'static str, u32>,
    /// Epochs that ended with loss, as the store says.
    pub epochs_lost: usize,
    /// Records whose history nothing explains, and where.
    pub broken: Vec<String>,
}

impl Report {
    /// One line of figures.
    pub fn figures(&self) -> Value {
        json!({
            "answered": self.answered, "unknown": self.unknown, "cached": self.cached, "versions_gone": self.gone,
            "faults": self.faults, "epochs_lost": self.epochs_lost, "records_broken": self.broken.len(),
        })
    }
}

/// Runs the clients, does the harm, and judges what they were told.
///
/// # Panics
/// Where a process does not come back, or a client meets what no correct client can.
pub async fn run(plan: &Plan) -> Report {
    let mut stage = Stage::start(plan.backing, plan.processes).await;
    let run = Run::start(&plan.load, &stage.urls());
    let kinds = stage.faults();
    let total = kinds.len() as u64 * u64::from(plan.faults_each);
    let mut hits = Vec::new();
    for (place, fault) in kinds.iter().cycle().take(total as usize).enumerate() {
        until(&run, plan.load.calls * (place as u64 + 1) / (total + 2)).await;
        if stage.may_lose(*fault) {
            hits.push(run.now());
        }
        stage.strike(*fault).await;
    }
    let histories = run.finish().await;
    judge(histories, &stage, &hits).await
}

async fn until(run: &Run, calls: u64) {
    let mut looks = interval(LOOK);
    while run.calls() < calls {
        looks.tick().await;
    }
}

async fn judge(histories: Histories, stage: &Stage, hits: &[u64]) -> Report {
    let epochs_lost = stage.epochs_lost().await;
    let all = || histories.iter().flatten();
    let count = |is: fn(&Event<Action>) -> bool| all().filter(|event| is(event)).count();
    let mut report = Report {
        answered: count(|event| event.returned.is_some()),
        unknown: count(|event| event.returned.is_none()),
        cached: count(|event| event.returned.is_some() && matches!(event.action, Action::Write { durable: false, .. })),
        gone: count(|event| matches!(event.action, Action::Gone { .. })),
        faults: stage.done.clone(),
        epochs_lost,
        broken: Vec::new(),
    };
    let losses: Vec<_> = (0..epochs_lost)
        .map(|place| hits.get(place).or(hits.first()).copied().unwrap_or(0))
        .map(|called| Event { action: Action::Loss, called, returned: None })
        .collect();
    for (record, history) in histories.into_iter().enumerate() {
        let events = history.into_iter().chain(losses.iter().cloned()).collect();
        if let Err(contradiction) = linear::check(&Record { lost_max: CACHED_WRITES_MAX }, events) {
            report.broken.push(format!("record {record}: {contradiction:#?}"));
        }
    }
    report
}
