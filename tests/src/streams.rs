//! A thousand streams at once through one llm-proxy: what they hold of its memory, though many of their readers are slow and
//! many read nothing; and how soon the provider sees that a caller has gone away.
//!
//! Models write steadily for those who read, and as fast as they can for those who do not: whatever the proxy is ready to
//! take for them, it gets.

mod cancelled;
mod readers;

use std::time::{Duration, Instant};

use futures::future::join_all;
use holdfast_config::Peer;
use holdfast_testkit::{Mesh, MeshBuilder};

use crate::llm::{Ask, Caller, counts, until};
use crate::load::{Findings, Memory, Size, resident_mib, telling};
use readers::{Reader, Readers};

const GROWTH_MIB_MAX: f64 = 100.0;

/// Written in 20 s, at 50 ms a token.
const STEADY_TOKENS: u32 = 400;
/// Ten megabytes of events: far more than sockets hold.
const GUSH_TOKENS: u32 = 100_000;

/// Who reads nothing is not to be ended for it while this goes on, however slow the machine is.
const CONFIG: &str = r#"
[llm_proxy]
stall_max = "10m"

[providers.steady]
kind = "openai"
base_url = "simulator:/v1"
keys = [{ name = "steady" }]

[providers.gush]
kind = "openai"
base_url = "simulator:/v1"
keys = [{ name = "gush" }]

[models.steady]
deployments = [{ provider = "steady", model = "simulated-model" }]

[models.gush]
deployments = [{ provider = "gush", model = "simulated-model" }]

[simulator]
keys.steady = {}
keys.gush = {}
"#;

fn mesh() -> MeshBuilder {
    let mesh = Mesh::builder().only(&[Peer::Gateway, Peer::LlmProxy, Peer::Simulator]);
    mesh.config(CONFIG).env("HOLDFAST_TELEMETRY__LOG", "error")
}

/// Opens the streams, looks at the memory, and gives some of them up.
///
/// # Panics
/// Where a service does not start.
pub async fn run(size: Size) -> Findings {
    let mut findings = Findings::default();
    let mut mesh = mesh().start().await;
    let pace = r#"{"latency": "100ms", "per_token": "50ms"}"#;
    mesh.http(Peer::Simulator, "PUT", "/admin/keys/steady/faults", pace).await;
    let pid = mesh.process(Peer::LlmProxy).id();
    warm_up(&mesh).await;
    let before = resident_mib(pid).unwrap_or_default();
    let (memory, begun) = (Memory::of(pid), Instant::now());
    let held = hold(&mesh, size, &mut findings).await;
    findings.tell("proxy_mib_before", before);
    let most = memory.most(begun, Instant::now());
    findings.at_most("proxy_mib_growth", most - before, GROWTH_MIB_MAX);
    drop(held);
    until(&mesh, |counts| counts.key("gush").in_flight == 0).await;
    cancelled::run(&mesh, size, &mut findings).await;
    findings
}

/// What is kept for good after the first calls counts for nobody.
async fn warm_up(mesh: &Mesh) {
    let caller = Caller::at(mesh, Peer::LlmProxy);
    let calls = (0..50).map(|_| caller.stream(&ask("steady", 4)));
    for answer in join_all(calls).await {
        answer.outcome.expect("a stream is answered");
    }
}

fn ask(model: &str, output_tokens: u32) -> Ask {
    let deadline = Duration::from_secs(300);
    Ask {
        model: model.into(),
        prompt: "hello".into(),
        output_tokens,
        max_output_tokens: output_tokens,
        deadline,
        ..Ask::default()
    }
}

/// All streams at once, until those have ended that are read.
async fn hold(mesh: &Mesh, size: Size, findings: &mut Findings) -> Readers {
    let (steady, slow, nothing) = size.of((600, 200, 200), (60, 20, 20));
    telling(format!("{steady} streams that are read, {slow} slowly, {nothing} not at all"));
    let mut gushing =
        Readers::open(mesh, ask("gush", GUSH_TOKENS), &[(Reader::Slow, slow), (Reader::Nothing, nothing)]).await;
    let mut steadily = Readers::open(mesh, ask("steady", STEADY_TOKENS), &[(Reader::Eager, steady)]).await;
    let at_once = counts(mesh).await;
    let at_once = at_once.keys.values().map(|key| key.in_flight).sum::<u32>();
    findings.at_least("streams_at_once", f64::from(at_once), f64::from(steady + slow + nothing));
    let read = steadily.ended().await;
    let whole = read.iter().filter(|text| **text == STEADY_TOKENS as usize * 4).count();
    findings.at_least("streams_read_whole", whole as f64, f64::from(steady));
    findings.at_least("slow_streams_still_read", gushing.reading().await as f64, f64::from(slow));
    let counts = until(mesh, |counts| counts.key("steady").in_flight == 0).await;
    findings.at_most("streams_lost", (counts.key("steady").broken_off + counts.key("gush").broken_off) as f64, 0.0);
    gushing
}
