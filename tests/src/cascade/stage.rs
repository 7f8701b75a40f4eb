//! One mesh with its settings, and the same stretch of the day on it, undisturbed and not.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use holdfast_config::Peer;
use holdfast_testkit::Mesh;
use tokio::time::{Instant, interval};
use tonic::transport::Channel;

use super::case::{Case, End, Ended};
use super::day::{Stretch, here};
use super::desk::{HANGING, NOTING, Settings, config, hanging};
use super::probes::{self, Seen};
use crate::load::{Offered, Spread, offer, telling};
use crate::simulated;

/// What a caller waits for on the day.
const DEADLINE: Duration = Duration::from_secs(120);
/// How often it is looked who is in the hanging tool.
const LOOK: Duration = Duration::from_millis(200);
const TELL: Duration = Duration::from_secs(10);
const CONNECTIONS: usize = 4;

/// How often the tool hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hang {
    /// On no call.
    Never,
    /// On 2% of its calls.
    Sometimes,
    /// On all of its calls.
    Always,
}

impl Hang {
    /// For tables and figures.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Never => "undisturbed",
            Self::Sometimes => "2_percent",
            Self::Always => "all",
        }
    }

    const fn rate(self) -> f64 {
        match self {
            Self::Never => 0.0,
            Self::Sometimes => 0.02,
            Self::Always => 1.0,
        }
    }
}

/// What one stretch showed.
#[derive(Debug)]
pub struct Phase {
    /// The settings.
    pub settings: Settings,
    /// How often the tool hung.
    pub hang: Hang,
    /// The cases.
    pub cases: Vec<Ended>,
    /// How much later than planned the load came, in milliseconds.
    pub load_late: Spread,
    /// Calls that the hanging tool saw meanwhile.
    pub calls: u64,
    /// Those of them that hung.
    pub hung: u64,
    /// Calls that were in the hanging tool, at each look.
    pub inside: Vec<u64>,
    /// Other tools, called from outside of the pool.
    pub others: BTreeMap<&'static str, Seen>,
}

/// A mesh with one of the settings.
#[derive(Debug)]
pub struct Stage {
    settings: Settings,
    deadline: Duration,
    mesh: Mesh,
    channels: Vec<Channel>,
    numbers: Arc<AtomicU64>,
}

impl Stage {
    /// Starts the whole mesh.
    pub async fn start(settings: Settings) -> Self {
        let mesh = Mesh::builder().config(config(settings)).env("HOLDFAST_TELEMETRY__LOG", "error").start().await;
        let channels = (0..CONNECTIONS).map(|_| mesh.channel(Peer::Gateway)).collect();
        Self { settings, deadline: here(DEADLINE), mesh, channels, numbers: Arc::default() }
    }

    /// The same with another deadline for its cases.
    #[must_use]
    pub fn deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// The mesh.
    pub const fn mesh(&self) -> &Mesh {
        &self.mesh
    }

    /// The next case, sent when this is awaited.
    pub fn case(&self) -> impl Future<Output = Ended> + Send + use<> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let channel = self.channels[number as usize % self.channels.len()].clone();
        Case { number, deadline: self.deadline }.run(channel)
    }

    /// Connections open, schemas are read, answers are kept. None of it counts.
    pub async fn warm_up(&self) {
        let warming = Stretch::even(40, 10);
        tokio::join!(
            offer(warming.arrivals().to_vec(), || self.case()),
            probes::run(&self.channels[0], warming.length())
        );
    }

    /// Lets the tool hang, and the cases of a stretch come.
    pub async fn play(&self, hang: Hang, stretch: &Stretch) -> Phase {
        self.hang(hang).await;
        let before = simulated::counts(&self.mesh, HANGING).await;
        let (progress, mut inside) = (Progress::default(), Vec::new());
        let cases = offer(stretch.arrivals().to_vec(), || progress.follow(self.case()));
        let played = async { tokio::join!(cases, probes::run(&self.channels[0], stretch.length())) };
        let (Offered { answers, late }, others) = tokio::select! {
            played = played => played,
            never = self.watch(hang, stretch, &progress, &mut inside) => match never {},
        };
        let after = simulated::counts(&self.mesh, HANGING).await;
        Phase {
            settings: self.settings,
            hang,
            cases: answers,
            load_late: late.into_iter().collect(),
            calls: after.calls - before.calls,
            hung: after.hung - before.hung,
            inside,
            others,
        }
    }

    /// Sets how often the tool hangs.
    pub async fn hang(&self, hang: Hang) {
        simulated::set_faults(&self.mesh, HANGING, &hanging(hang.rate())).await;
    }

    /// The cases that were noted, as often as they were.
    pub async fn notes(&self) -> BTreeMap<u64, u64> {
        let mut notes = BTreeMap::new();
        for effect in simulated::effects(&self.mesh, NOTING).await {
            // Those without a case are the probes'.
            if let Some(case) = effect.arguments["case"].as_u64() {
                *notes.entry(case).or_default() += 1;
            }
        }
        notes
    }

    /// Looks who is in the hanging tool, and tells how far the stretch is.
    async fn watch(&self, hang: Hang, stretch: &Stretch, progress: &Progress, inside: &mut Vec<u64>) -> Infallible {
        let (begun, mut looks, mut told) = (Instant::now(), interval(LOOK), Instant::now());
        loop {
            looks.tick().await;
            let open = simulated::counts(&self.mesh, HANGING).await.open;
            inside.push(open);
            if told.elapsed() >= TELL {
                told = Instant::now();
                let (name, hang) = (self.settings.name(), hang.name());
                let (past, length) = (begun.elapsed().as_secs(), stretch.length().as_secs());
                telling(format!("{name}, {hang}: {past} s of {length}, {progress}, {open} in the tool"));
            }
        }
    }
}

/// How far a stretch is.
#[derive(Debug, Clone, Default)]
struct Progress {
    begun: Arc<AtomicU64>,
    ended: Arc<AtomicU64>,
    lost: Arc<AtomicU64>,
}

impl Progress {
    fn follow<F>(&self, case: F) -> impl Future<Output = Ended> + Send + use<F>
    where
        F: Future<Output = Ended> + Send,
    {
        let this = self.clone();
        this.begun.fetch_add(1, Ordering::Relaxed);
        async move {
            let ended = case.await;
            this.ended.fetch_add(1, Ordering::Relaxed);
            this.lost.fetch_add(u64::from(matches!(ended.end, End::Lost(_))), Ordering::Relaxed);
            ended
        }
    }
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        write!(f, "{} cases begun, {} ended, {} lost", count(&self.begun), count(&self.ended), count(&self.lost))
    }
}
