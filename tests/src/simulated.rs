//! The simulated tools of a mesh: how they shall misbehave, and what they counted by themselves.

use std::time::Duration;

use holdfast_config::Peer;
use holdfast_testkit::Mesh;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, interval};

/// What comes at all comes within this time.
const COMES_WITHIN: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(10);

/// What a tool counted.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct Counts {
    /// Calls that arrived.
    pub calls: u64,
    /// Calls that were answered.
    pub answered: u64,
    /// Calls that hung.
    pub hung: u64,
    /// Answers that a fault kept back, after the effect.
    pub lost: u64,
    /// Calls whose caller went away.
    pub broken_off: u64,
    /// Calls in hand.
    pub open: u64,
    /// Effects.
    pub effects: u64,
}

/// An effect that happened.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Effect {
    /// The key that came with the call.
    pub key: Option<String>,
    /// The arguments of the first call with this key.
    pub arguments: Value,
    /// How many calls showed this key.
    pub calls: u64,
}

/// What a tool counted so far.
///
/// # Panics
/// Where there is no such tool.
pub async fn counts(mesh: &Mesh, tool: &str) -> Counts {
    let all: Value = asked(mesh, "/admin/counts").await;
    Counts::deserialize(&all["tools"][tool]).unwrap_or_else(|_| panic!("the simulator has no tool {tool}"))
}

/// Waits until a tool has counted what is wanted.
///
/// # Panics
/// Where that does not come.
pub async fn until(mesh: &Mesh, tool: &str, wanted: impl Fn(&Counts) -> bool) -> Counts {
    let (end, mut looks) = (Instant::now() + COMES_WITHIN, interval(LOOK));
    loop {
        looks.tick().await;
        let counts = counts(mesh, tool).await;
        if wanted(&counts) {
            return counts;
        }
        assert!(Instant::now() < end, "{tool} never counts what is wanted: {counts:?}");
    }
}

/// What a tool's calls did, oldest first.
///
/// # Panics
/// Where there is no such tool.
pub async fn effects(mesh: &Mesh, tool: &str) -> Vec<Effect> {
    asked(mesh, &format!("/admin/tools/{tool}/effects")).await
}

/// Sets how a tool misbehaves from now on.
///
/// # Panics
/// Where the simulator does not take it.
pub async fn set_faults(mesh: &Mesh, tool: &str, faults: &Value) {
    mesh.http(Peer::Simulator, "PUT", &format!("/admin/tools/{tool}/faults"), &faults.to_string()).await;
}

async fn asked<T: DeserializeOwned>(mesh: &Mesh, path: &str) -> T {
    let answer = mesh.http(Peer::Simulator, "GET", path, "").await;
    serde_json::from_str(&answer).expect("the simulator answers in JSON")
}
