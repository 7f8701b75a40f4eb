//! Effects at tools while answers are lost, workers are killed at any step, and the tool-proxy is killed.
//!
//! A run has a seed. Four invocations call two tools in turn: one that deduplicates, and one that does not. Their workers
//! are killed before, in and after a call, and another takes over with a higher fence and begins again; some go on as if
//! nothing had happened. The tool loses answers after the effect, or breaks off before it, or hangs. Once in each run the
//! proxy is killed with SIGKILL, at a moment that the seed chooses. At the end every call has been answered, and:
//!
//! - at the idempotent tool each has had its effect exactly once, and its answer is the tool's;
//! - at the effectful one it was sent at most once; where its answer is not the tool's, and it may have left, the caller
//!   was told that its outcome is unknown;
//! - everybody who asked for the same call was told the same.

mod script;
mod tool;
mod verdict;
mod worker;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use holdfast_config::Peer;
use holdfast_rpc::lease::{LeaseKey, LeaseToken};
use holdfast_testkit::Mesh;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::script::{Kill, Script};
use self::tool::Tools;
use self::worker::{Told, Work};

/// A run that has not ended by then never will.
const ENDED_WITHIN: Duration = Duration::from_secs(90);

/// Signs the leases, as the queue does elsewhere.
const KEY: &str = "the-key-of-a-mesh-without-a-queue";

/// What was done and found.
#[derive(Debug, Default)]
pub struct Report {
    /// Runs to their end.
    pub runs: u64,
    /// Calls that were to be made, each at its own place.
    pub calls: u64,
    /// Answers that were told, repeats included.
    pub answers: u64,
    /// Kills of the proxy while a tool had a request of it in hand.
    pub proxy_kills: u64,
    /// Workers that were killed.
    pub worker_kills: u64,
    /// Workers that went on though they had been superseded.
    pub zombies: u64,
    /// Of their calls, those that were refused for it.
    pub fenced: u64,
    /// Answers that the tools did not give.
    pub answers_lost: u64,
    /// What calls came to, by tool and outcome; and those that were refused to the superseded, as FENCED.
    pub outcomes: BTreeMap<String, u64>,
    /// Broken promises, each with its seed.
    pub broken: Vec<String>,
}

impl Report {
    /// Whether every promise held.
    pub const fn holds(&self) -> bool {
        self.broken.is_empty()
    }

    /// What should have come to pass in so many runs, and did not: then nothing is shown.
    pub fn lacks(&self) -> Vec<&'static str> {
        let came = |what: &str| self.outcomes.get(what).copied().unwrap_or(0);
        let floors = [
            ("workers that were killed", self.worker_kills, self.runs / 2),
            ("workers that went on though superseded", self.zombies, self.runs / 6),
            ("lost answers", self.answers_lost, 3 * self.runs),
            ("kills of the proxy with a request in hand", self.proxy_kills, self.runs / 2),
            ("calls of the superseded that the check of the fence refused", came("once:FENCED"), 1),
            ("calls of the superseded whose intent was refused", came("pay:FENCED"), 1),
            ("outcomes that nobody knows", came("pay:OUTCOME_UNKNOWN"), self.runs / 3),
        ];
        floors.into_iter().filter(|(_, count, least)| count < least).map(|(what, ..)| what).collect()
    }

    /// One line of figures.
    pub fn figures(&self) -> Value {
        json!({
            "runs": self.runs, "calls": self.calls, "answers": self.answers, "proxy_kills": self.proxy_kills,
            "worker_kills": self.worker_kills, "zombies": self.zombies, "fenced": self.fenced,
            "answers_lost": self.answers_lost, "outcomes": self.outcomes, "broken": self.broken.len(),
        })
    }

    fn count(&mut self, tool: &str, outcome: &str) {
        *self.outcomes.entry(format!("{tool}:{outcome}")).or_default() += 1;
    }
}

/// Runs all seeds, as many at once as there are lanes: each has a mesh of its own.
///
/// # Panics
/// Where a service does not start.
pub async fn run(seeds: Range<u64>, lanes: usize) -> Report {
    let (seeds, report) = (Arc::new(Mutex::new(seeds)), Arc::new(Mutex::new(Report::default())));
    let mut running = JoinSet::new();
    for _ in 0..lanes {
        let (seeds, report) = (Arc::clone(&seeds), Arc::clone(&report));
        // One after another: a mesh that starts loads the machine.
        let mut stage = Stage::start().await;
        running.spawn(async move {
            loop {
                let Some(seed) = seeds.lock().next() else { return };
                stage.play(seed, &report).await;
            }
        });
    }
    while let Some(lane) = running.join_next().await {
        lane.expect("a lane does not panic");
    }
    std::mem::take(&mut report.lock())
}

/// A mesh with its tools.
struct Stage {
    mesh: Mesh,
    tools: Tools,
    key: LeaseKey,
}

impl Stage {
    async fn start() -> Self {
        let tools = Tools::start().await;
        let builder = Mesh::builder().only(&[Peer::State, Peer::ToolProxy]).config(config(&tools));
        let mesh = builder.env("HOLDFAST_STORM_KEY", KEY).start().await;
        Self { mesh, tools, key: LeaseKey::new(KEY.as_bytes()) }
    }

    async fn play(&mut self, seed: u64, report: &Mutex<Report>) {
        let script = Script::of(seed);
        let hits = self.tools.begin(&script);
        let work = Arc::new(Work {
            url: self.mesh.url(Peer::ToolProxy),
            key: self.key.clone(),
            told: Mutex::new(Told::default()),
        });
        let mut workers = JoinSet::new();
        for invocation in script.invocations.clone() {
            workers.spawn(worker::through_all_kills(Arc::clone(&work), invocation));
        }
        match &script.kill {
            Kill::After(pause) => tokio::time::sleep(*pause).await,
            // The calls may end before so many have come.
            Kill::AtHit { .. } => drop(timeout(Duration::from_secs(2), hits).await),
        }
        let in_hand = self.tools.have_in_hand();
        self.mesh.kill(Peer::ToolProxy).await;
        self.tools.go_on();
        self.mesh.restart(Peer::ToolProxy).await;
        let ended = timeout(ENDED_WITHIN, async {
            while let Some(worker) = workers.join_next().await {
                worker.expect("a worker does not panic");
            }
        })
        .await;
        let mut report = report.lock();
        report.runs += 1;
        report.proxy_kills += u64::from(in_hand);
        if ended.is_err() {
            report.broken.push(format!("seed {seed}: it has not ended within {ENDED_WITHIN:?}"));
        }
        verdict::judge(seed, &script, &work.told.lock(), &self.tools.effects(&script), &mut report);
    }
}

impl Work {
    /// The lease of an attempt.
    fn lease(&self, invocation: &str, attempt: u32) -> String {
        self.key.sign(&LeaseToken {
            tenant: "storm".into(),
            session: String::new(),
            invocation_id: invocation.into(),
            attempt,
            lease_id: holdfast_rpc::id::new(),
            // As the queue does it: a fence tells the token's age too.
            fence: holdfast_rpc::time::now_micros().unsigned_abs() + u64::from(attempt),
            agent: "storm".into(),
        })
    }
}

fn config(tools: &Tools) -> String {
    let never = "breaker = { minimum_calls = 1000000, failure_percent = 100 }";
    let fallback = "fallback = [{ kind = \"unavailable\", advice = \"Go on without.\" }]";
    format!(
        "[mesh]\nlease_key = \"env:HOLDFAST_STORM_KEY\"\n[tool_proxy]\nretry_percent = 100\nhost_{never}\n\
         [tools.once]\nurl = {:?}\neffect = \"idempotent\"\nattempts = 3\ntimeout = \"20s\"\n{never}\n{fallback}\n\
         [tools.pay]\nurl = {:?}\ntimeout = \"300ms\"\nconnect_timeout = \"300ms\"\n{never}\n{fallback}\n",
        tools.url("once"),
        tools.url("pay"),
    )
}
