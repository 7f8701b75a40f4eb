use std::time::{Duration, Instant};

use holdfast_config::Peer;
use holdfast_simulator::{Counts, KeyCounts, ModelCall};
use holdfast_testkit::Mesh;
use serde::de::DeserializeOwned;
use tokio::time::interval;

/// What comes at all comes within this time.
const COMES_WITHIN: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(10);
/// As often both clocks are read, of which the quickest reading counts.
const READINGS: u32 = 200;

/// What the provider says of one key.
#[derive(Debug)]
pub struct Account {
    /// Its counts.
    pub counts: KeyCounts,
    /// Its calls in the order of their arrival.
    pub calls: Vec<ModelCall>,
}

impl Account {
    /// As it stands now.
    ///
    /// # Panics
    /// Where there is no such key.
    pub async fn of(mesh: &Mesh, key: &str) -> Self {
        Self { counts: counts(mesh).await.key(key), calls: calls(mesh, key).await }
    }
}

/// Everything that the simulator counted.
///
/// # Panics
/// Where it does not say.
pub async fn counts(mesh: &Mesh) -> Counts {
    asked(mesh, "/admin/counts").await
}

/// The calls with a key, in the order of their arrival.
///
/// # Panics
/// Where there is no such key.
pub async fn calls(mesh: &Mesh, key: &str) -> Vec<ModelCall> {
    asked(mesh, &format!("/admin/keys/{key}/calls")).await
}

/// Waits until the simulator has counted what is wanted.
///
/// # Panics
/// Where that does not come.
pub async fn until(mesh: &Mesh, wanted: impl Fn(&Counts) -> bool) -> Counts {
    let (end, mut looks) = (Instant::now() + COMES_WITHIN, interval(LOOK));
    loop {
        looks.tick().await;
        let counts = counts(mesh).await;
        if wanted(&counts) {
            return counts;
        }
        assert!(Instant::now() < end, "the simulator never counts what is wanted: {counts:?}");
    }
}

/// What the provider's clock shows at a moment of ours: both run on this machine's monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    ours: Instant,
    theirs_us: f64,
    /// How far it may be off.
    pub uncertain: Duration,
}

impl Clock {
    /// Reads both.
    ///
    /// # Panics
    /// Where the simulator does not say.
    pub async fn read(mesh: &Mesh) -> Self {
        let mut best: Option<Self> = None;
        for _ in 0..READINGS {
            let before = Instant::now();
            let theirs: u64 = asked(mesh, "/admin/clock").await;
            let half = before.elapsed() / 2;
            if best.is_none_or(|best| half < best.uncertain) {
                best = Some(Self { ours: before + half, theirs_us: theirs as f64, uncertain: half });
            }
        }
        best.expect("it was read")
    }

    /// In microseconds of the provider.
    pub fn at_us(&self, moment: Instant) -> f64 {
        let since = moment.saturating_duration_since(self.ours).as_secs_f64();
        let before = self.ours.saturating_duration_since(moment).as_secs_f64();
        self.theirs_us + (since - before) * 1e6
    }
}

async fn asked<T: DeserializeOwned>(mesh: &Mesh, path: &str) -> T {
    let answer = mesh.http(Peer::Simulator, "GET", path, "").await;
    serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{path} is something else: {error}"))
}
