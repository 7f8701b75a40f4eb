//! The mission's case: forty callers where an endpoint allows twenty at once, and a burst of two thousand calls where it
//! allows six hundred a minute. Nobody may be told 429, neither the llm-proxy by the provider nor a caller by us, and of what
//! the provider allows nearly everything must be used.
//!
//! By default time runs 20 times as fast: the provider's minute is 3 s, and a model answers within 25 to 75 ms; as it is in
//! truth (`--real`), within 0.5 to 1.5 s. The mesh's own time is not made shorter by that, so it weighs 20 times as much.
//!
//! Everything is measured by the provider's log. While calls wait, its next arrival was possible from a certain moment on:
//! when as many calls had ended as places are needed, and one window after as many arrivals as the minute holds were certain
//! at our side (their answer began, or 500 ms had passed: protocol.md). What passes from that moment until the call arrives
//! there is `late`. So it includes the way of the last answer to us and of the next request to the provider.
//!
//! A burst of two thousand calls keeps a machine busy by itself until all of them are in line, and the load with it: what
//! ended meanwhile was known late here, and what may come a window after it comes as late. So the burst's lateness is judged
//! from the second window on, where everybody is in line and what is waited for was known at once. Neither the forty's
//! lateness nor their use of the places is judged for their last calls, where who has made all of its calls is missing in the
//! line. What all of them were is told.

mod log;

use std::time::Duration;

use futures::future::join_all;
use holdfast_config::Peer;
use holdfast_testkit::{Mesh, MeshBuilder};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::llm::{Account, Answered, Ask, Caller};
use crate::load::{Findings, Size, Spread, telling};
use log::{Allowed, Log};

const CALLERS: usize = 40;
const AT_ONCE: usize = 20;
const A_MINUTE: usize = 600;

const LATE_MS_MAX: f64 = 2.0;

/// How fast time runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// As it does.
    Real,
    /// Twenty times as fast.
    Compressed,
}

impl Scale {
    const fn factor(self) -> u32 {
        match self {
            Self::Real => 1,
            Self::Compressed => 20,
        }
    }

    /// The part of the allowance that must be used.
    const fn used_min(self) -> f64 {
        match self {
            Self::Real => 0.98,
            Self::Compressed => 0.95,
        }
    }

    fn here(self, time: Duration) -> Duration {
        time / self.factor()
    }

    fn window(self) -> Duration {
        self.here(Duration::from_secs(60))
    }
}

/// Two providers: one that allows twenty at once, and one that allows six hundred a minute besides.
fn mesh(scale: Scale) -> MeshBuilder {
    let window = format!("{}ms", scale.window().as_millis());
    let latency = format!("{}us", scale.here(Duration::from_millis(500)).as_micros());
    let per_token = format!("{}us", scale.here(Duration::from_millis(10)).as_micros());
    let (forty, burst) =
        (format!("concurrency = {AT_ONCE}"), format!("concurrency = {AT_ONCE}, requests_per_minute = {A_MINUTE}"));
    let config = format!(
        r#"
[providers.forty]
kind = "openai"
base_url = "simulator:/v1"
keys = [{{ name = "forty", {forty} }}]

[providers.burst]
kind = "openai"
base_url = "simulator:/v1"
window = "{window}"
keys = [{{ name = "burst", {burst} }}]

[models.forty]
deployments = [{{ provider = "forty", model = "simulated-model" }}]

[models.burst]
deployments = [{{ provider = "burst", model = "simulated-model" }}]

[simulator]
faults = {{ latency = "{latency}", per_token = "{per_token}" }}
keys.forty = {{ {forty}, window = "{window}" }}
keys.burst = {{ {burst}, window = "{window}" }}
"#
    );
    let mesh = Mesh::builder().only(&[Peer::Gateway, Peer::LlmProxy, Peer::Simulator]);
    mesh.config(config).env("HOLDFAST_TELEMETRY__LOG", "error")
}

/// Both cases, one after the other.
///
/// # Panics
/// Where a service does not start.
pub async fn run(size: Size, scale: Scale) -> Findings {
    let mut findings = Findings::default();
    let mesh = mesh(scale).start().await;
    let caller = Caller::at(&mesh, Peer::Gateway);
    let mut lengths = SmallRng::seed_from_u64(6);
    let mut ask = |model: &str| Ask {
        model: model.into(),
        prompt: "hello".into(),
        // So that calls do not end in step with each other: from 0.5 to 1.5 s on the day.
        output_tokens: lengths.random_range(1..=100),
        deadline: Duration::from_secs(600),
        ..Ask::default()
    };
    findings.tell("time_factor", f64::from(scale.factor()));

    let each = size.of(2_000, 400) / CALLERS / if scale == Scale::Real { 2 } else { 1 };
    telling(format!("{CALLERS} callers, {AT_ONCE} at once, each {each} calls one after the other"));
    let asks: Vec<Vec<Ask>> = (0..CALLERS).map(|_| (0..each).map(|_| ask("forty")).collect()).collect();
    let one_by_one = async |asks: Vec<Ask>| {
        let mut answers = Vec::new();
        for ask in asks {
            answers.push(caller.call(&ask).await);
        }
        answers
    };
    let answers = join_all(asks.into_iter().map(one_by_one)).await.into_iter().flatten().collect::<Vec<_>>();
    let allowed = Allowed { at_once: AT_ONCE, window: None };
    judge("forty", &answers, &Account::of(&mesh, "forty").await, &allowed, scale, &mut findings);

    let burst = size.of(2_000, 1_500);
    telling(format!("{burst} calls at once, {A_MINUTE} in {:?}", scale.window()));
    let asks: Vec<Ask> = (0..burst).map(|_| ask("burst")).collect();
    let calls: Vec<_> = asks.iter().map(|ask| tokio::spawn(caller.call(ask))).collect();
    let answers =
        join_all(calls).await.into_iter().map(|answer| answer.expect("a call does not panic")).collect::<Vec<_>>();
    let allowed = Allowed { at_once: AT_ONCE, window: Some((A_MINUTE, scale.window())) };
    judge("burst", &answers, &Account::of(&mesh, "burst").await, &allowed, scale, &mut findings);
    findings
}

fn judge(
    name: &str,
    answers: &[Answered],
    account: &Account,
    allowed: &Allowed,
    scale: Scale,
    findings: &mut Findings,
) {
    let lost: Vec<&Answered> = answers.iter().filter(|answer| !answer.is_real()).collect();
    if let Some(answer) = lost.first() {
        telling(format!("a call that was not answered: {:?}", answer.outcome));
    }
    let Account { counts, calls } = account;
    findings.at_most(format!("{name}_refused_by_provider"), counts.refused as f64, 0.0);
    findings.at_most(format!("{name}_not_answered"), lost.len() as f64, 0.0);
    findings.at_least(format!("{name}_answered"), counts.answered as f64, answers.len() as f64);
    findings.at_most(format!("{name}_at_once_max"), f64::from(counts.in_flight_max), AT_ONCE as f64);
    if allowed.window.is_some() {
        findings.at_most(format!("{name}_in_any_window_max"), counts.most.requests as f64, A_MINUTE as f64);
    }
    let log = Log::new(calls);
    findings.tell(format!("{name}_took_s"), log.took().as_secs_f64());
    // Where callers call one after the other, those who are done are missing in the line at last.
    let in_line = if allowed.window.is_some() { log.len() } else { log.len().saturating_sub(CALLERS) };
    findings.tell(format!("{name}_used_of_all"), log.used(allowed, log.len()));
    findings.at_least(format!("{name}_used"), log.used(allowed, in_line), scale.used_min());
    let spread = |which| log.late(allowed, which).into_iter().collect::<Spread>();
    let whole = spread(0..log.len());
    findings.tell(format!("{name}_late_ms_p50"), whole.median());
    findings.tell(format!("{name}_late_ms_max"), whole.below(1.0));
    findings.tell(format!("{name}_late_ms_p99_of_all"), whole.p99());
    let judged = match allowed.window {
        Some(_) => 2 * A_MINUTE..in_line,
        None => 0..in_line,
    };
    findings.at_most(format!("{name}_late_ms_p99"), spread(judged).p99(), LATE_MS_MAX);
}
