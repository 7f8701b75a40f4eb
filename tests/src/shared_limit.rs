//! Three llm-proxies keep one limit of a provider through a Redis, and one of them is killed in the middle. By the provider's
//! own count no window may hold more than the limit by over a hundredth (the aim is none), and of what it allows nearly
//! everything must be used: the reserve that Redis never grants, and what the dead process had in hand, are all that may go
//! unused.
//!
//! Callers of each process call one after the other, so that there is always a line before the limit; those of the killed
//! one go on at the others. Use is counted in whole windows from the moment on when Redis began to grant: until then the
//! window counts as spent, and there were a few calls out of the reserve.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use futures::future::join_all;
use holdfast_config::Peer;
use holdfast_proto::llm::v1::llm_service_client::LlmServiceClient;
use holdfast_testkit::{Mesh, Redis};
use tonic::Request;
use tonic::transport::{Channel, Endpoint};

use crate::llm::{Account, Ask, counts, until};
use crate::load::{Findings, Size, telling};

const PROCESSES: u16 = 3;
/// Of each process.
const CALLERS: usize = 60;
const KEY: &str = "shared";
const ALLOWED: usize = 600;
const WINDOW: Duration = Duration::from_secs(6);

const USED_MIN: f64 = 0.97;
const OVERSHOOT_PERCENT_MAX: f64 = 1.0;

/// Processes before one provider with so many requests in a window.
///
/// # Panics
/// Where one does not start.
pub async fn mesh(redis: &Redis, allowed: usize, window: Duration) -> Mesh {
    let (window, redis) = (window.as_millis(), redis.url());
    let config = format!(
        r#"
[redis]
url = "{redis}"

[providers.shared]
kind = "openai"
base_url = "simulator:/v1"
window = "{window}ms"
keys = [{{ name = "{KEY}", requests_per_minute = {allowed} }}]

[models.shared]
deployments = [{{ provider = "shared", model = "simulated-model" }}]

[simulator]
faults = {{ latency = "20ms" }}
keys.{KEY} = {{ requests_per_minute = {allowed}, window = "{window}ms" }}
"#
    );
    let mesh = Mesh::builder().only(&[Peer::LlmProxy, Peer::Simulator]).llm_proxies(PROCESSES).config(config);
    mesh.env("HOLDFAST_TELEMETRY__LOG", "error").start().await
}

/// Callers who go on at another process when theirs is gone.
#[derive(Debug, Clone)]
pub struct Callers {
    processes: Arc<[LlmServiceClient<Channel>]>,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
}

impl Callers {
    /// At all processes of a mesh.
    ///
    /// # Panics
    /// Where an address is none.
    pub fn at(mesh: &Mesh) -> Self {
        let client =
            |url: String| LlmServiceClient::new(Endpoint::from_shared(url).expect("a URL of our own").connect_lazy());
        let processes = mesh.urls(Peer::LlmProxy).into_iter().map(client).collect();
        Self { processes, stop: Arc::default(), answered: Arc::default(), failed: Arc::default() }
    }

    /// No call begins after this.
    pub fn stop(&self) {
        self.stop.store(true, SeqCst);
    }

    /// Answered so far.
    pub fn answered(&self) -> u64 {
        self.answered.load(SeqCst)
    }

    /// Calls that ended with an error so far: those at a process that was killed.
    pub fn failed(&self) -> u64 {
        self.failed.load(SeqCst)
    }

    /// So many of each process, one call after the other, until they are stopped.
    pub async fn call(&self, of_each: usize) {
        let callers = (0..of_each * self.processes.len()).map(|number| self.clone().one_by_one(number));
        join_all(callers.map(tokio::spawn)).await;
    }

    async fn one_by_one(self, mut at: usize) {
        let deadline = Duration::from_secs(120);
        let ask = Ask { model: KEY.into(), prompt: "hello".into(), output_tokens: 5, deadline, ..Ask::default() };
        while !self.stop.load(SeqCst) {
            let mut request = Request::new(ask.message());
            request.set_timeout(deadline);
            match self.processes[at % self.processes.len()].clone().generate(request).await {
                Ok(_) => drop(self.answered.fetch_add(1, SeqCst)),
                Err(_) => {
                    self.failed.fetch_add(1, SeqCst);
                    at += 1;
                }
            }
        }
    }
}

/// Waits until so many have arrived at the provider, window by window: none of them takes long.
async fn arrived(mesh: &Mesh, wanted: u64) {
    let mut seen = counts(mesh).await.key(KEY).requests;
    while seen < wanted {
        let next = wanted.min(seen + ALLOWED as u64);
        seen = until(mesh, |counts| counts.key(KEY).requests >= next).await.key(KEY).requests;
    }
}

/// The whole case.
///
/// # Panics
/// Where a service does not start.
pub async fn run(size: Size) -> Findings {
    let mut findings = Findings::default();
    let windows = size.of(12, 4);
    let redis = Redis::start().await;
    let mut mesh = mesh(&redis, ALLOWED, WINDOW).await;
    let callers = Callers::at(&mesh);
    telling(format!(
        "{PROCESSES} processes, {CALLERS} callers of each, {ALLOWED} in {WINDOW:?}, for {windows} windows"
    ));
    let calling = tokio::spawn({
        let callers = callers.clone();
        async move { callers.call(CALLERS).await }
    });
    arrived(&mesh, (windows / 2 * ALLOWED) as u64).await;
    telling("one of them is killed");
    mesh.process_of(Peer::LlmProxy, 1).kill().await;
    arrived(&mesh, (windows / 2 * ALLOWED) as u64 + 1).await;
    // A window more than what is judged: its last calls are still to come.
    let judged = WINDOW * windows as u32;
    let first = begins(&Account::of(&mesh, KEY).await);
    while Account::of(&mesh, KEY).await.calls.last().is_none_or(|call| call.at_us < first + micros(judged)) {
        let next = counts(&mesh).await.key(KEY).requests + ALLOWED as u64 / 10;
        arrived(&mesh, next).await;
    }
    callers.stop();
    let _ = calling.await;
    judge(&Account::of(&mesh, KEY).await, first, judged, &callers, &mut findings);
    findings
}

/// When Redis began to grant: before that there were a few calls out of the reserve.
fn begins(account: &Account) -> u64 {
    let calls = account.calls.iter().zip(account.calls.iter().skip(ALLOWED / 2));
    let dense = calls.filter(|(call, later)| later.at_us - call.at_us < micros(WINDOW / 2));
    dense.map(|(call, _)| call.at_us).next().unwrap_or(0)
}

fn micros(time: Duration) -> u64 {
    time.as_micros() as u64
}

fn judge(account: &Account, first: u64, judged: Duration, callers: &Callers, findings: &mut Findings) {
    let Account { counts, calls } = account;
    let until = first + micros(judged);
    let used = calls.iter().filter(|call| call.refused_by.is_none() && (first..until).contains(&call.at_us)).count();
    let allowed = ALLOWED as f64 * judged.as_secs_f64() / WINDOW.as_secs_f64();
    let most = counts.most.requests as f64;
    findings.at_least("used", used as f64 / allowed, USED_MIN);
    findings.tell("in_any_window_max", most);
    let overshoot = (most - ALLOWED as f64).max(0.0) * 100.0 / ALLOWED as f64;
    findings.at_most("overshoot_percent", overshoot, OVERSHOOT_PERCENT_MAX);
    findings.tell("refused_by_provider", counts.refused as f64);
    findings.tell("answered", callers.answered() as f64);
    findings.at_most("failed_at_the_killed", callers.failed() as f64, CALLERS as f64 * 2.0);
    // The fault that was injected.
    findings.tell("killed", 1.0);
}
