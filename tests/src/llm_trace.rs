//! The model calls of a production service's hour, with its real lengths and its real bursts, on a limit of tokens that the
//! bursts exceed.
//!
//! Time runs 20 times as fast: the hour takes 2.9 minutes, the provider's minute 3 s, and a model writes a token in 1 ms after
//! 25 ms of thought (20 ms and half a second on the day). The limit is a fourth more than the trace uses on average, so its
//! busy minutes, which use up to 1.8 times the average, do not fit: calls wait, for minutes of the day at worst.
//!
//! Prompts have from 3.4 to 4.6 bytes to a token as the provider counts, which is how texts differ; callers limit an answer by
//! the next of 64, 128, 256, 512 and 1,024 tokens. So nobody knows before a call what it will cost.

mod backlog;
mod day;

use std::collections::HashMap;
use std::time::Duration;

use holdfast_config::Peer;
use holdfast_simulator::ModelCall;
use holdfast_testkit::{Mesh, MeshBuilder};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::llm::{Account, Answered, Ask, Caller, Clock, prompt};
use crate::load::{Findings, Offered, Size, Spread, offer, telling};
use backlog::Backlog;
use day::{Day, Request};

/// How many times as fast as the trace everything is.
pub const SPEED: u32 = 20;
/// Tokens in a minute of the trace; on average it uses 453,000.
const A_MINUTE: u64 = 560_000;
const WINDOW: Duration = Duration::from_secs(60 / SPEED as u64);
const KEY: &str = "trace";

const USED_MIN: f64 = 0.95;
/// Without so much of a backlog nothing was shown.
const BACKLOG_MIN: f64 = 0.1;

fn mesh() -> MeshBuilder {
    let limits = format!("tokens_per_minute = {A_MINUTE}");
    let config = format!(
        r#"
[providers.trace]
kind = "openai"
base_url = "simulator:/v1"
window = "{WINDOW:?}"
keys = [{{ name = "{KEY}", {limits} }}]

[models.trace]
deployments = [{{ provider = "trace", model = "simulated-model" }}]

[simulator]
faults = {{ latency = "25ms", per_token = "1ms" }}
keys.{KEY} = {{ {limits}, window = "{WINDOW:?}" }}
"#
    );
    let mesh = Mesh::builder().only(&[Peer::Gateway, Peer::LlmProxy, Peer::Simulator]);
    mesh.config(config).env("HOLDFAST_TELEMETRY__LOG", "error")
}

/// Plays the trace, or five of its busy minutes; None where it is not there.
///
/// # Panics
/// Where a service does not start.
pub async fn run(size: Size) -> Option<Findings> {
    let day = size.of(Day::whole(), Day::minutes(22..27))?;
    let mesh = mesh().start().await;
    let mut findings = Findings::default();
    let caller = Caller::at(&mesh, Peer::Gateway);
    telling(format!(
        "{} calls, {} tokens in {:?}; at most {A_MINUTE} tokens in {WINDOW:?}",
        day.requests.len(),
        day.tokens(),
        day.length(),
    ));
    findings.tell("time_factor", f64::from(SPEED));
    findings.tell(
        "limit_of_mean",
        A_MINUTE as f64 / (day.tokens() as f64 / day.length().as_secs_f64() * WINDOW.as_secs_f64()),
    );
    let clock = Clock::read(&mesh).await;
    let Offered { answers, late } = offer(day.requests.iter().map(|request| request.at), {
        let (mut ratios, mut requests) = (SmallRng::seed_from_u64(2023), day.requests.iter().enumerate());
        move || {
            let (number, request) = requests.next().expect("as many as arrivals");
            caller.stream(&ask(number, request, ratios.random_range(3.4..4.6)))
        }
    })
    .await;
    let late: Spread = late.into_iter().collect();
    findings.tell("load_late_ms_p99", late.p99());
    let account = Account::of(&mesh, KEY).await;
    judge(&day, &answers, &account, clock, &mut findings);
    estimates(&mesh.metrics(Peer::LlmProxy).await, &day, &account, &mut findings);
    Some(findings)
}

fn ask(number: usize, request: &Request, bytes_per_token: f64) -> Ask {
    Ask {
        model: "trace".into(),
        prompt: prompt((f64::from(request.input) * bytes_per_token) as usize),
        input_tokens: request.input,
        output_tokens: request.output,
        max_output_tokens: request.most(),
        mark: number.to_string(),
        deadline: Duration::from_secs(600),
    }
}

fn judge(day: &Day, answers: &[Answered], account: &Account, clock: Clock, findings: &mut Findings) {
    let Account { counts, calls } = account;
    let lost: Vec<&Answered> = answers.iter().filter(|answer| !answer.is_real()).collect();
    if let Some(answer) = lost.first() {
        telling(format!("a call that was not answered: {:?}", answer.outcome));
    }
    findings.at_most("refused_by_provider", counts.refused as f64, 0.0);
    findings.at_most("not_answered", lost.len() as f64, 0.0);
    findings.at_least("answered", counts.answered as f64, day.requests.len() as f64);
    findings.at_most("tokens_in_any_window_max_of_limit", counts.most.tokens as f64 / A_MINUTE as f64, 1.0);
    let sent: HashMap<&str, f64> =
        answers.iter().map(|answer| (answer.mark.as_str(), clock.at_us(answer.sent))).collect();
    let waits = calls.iter().filter_map(|call| {
        let waited_us = call.at_us as f64 - sent.get(call.mark.as_str())?;
        Some(Duration::from_secs_f64(waited_us.max(0.0) / 1e6))
    });
    let waits: Spread = waits.collect();
    findings.tell("wait_ms_p50", waits.median());
    findings.tell("wait_ms_p99", waits.p99());
    let lasted = |call: &ModelCall| Some(Duration::from_micros(call.ended_us? - call.at_us));
    let lasted: Spread = calls.iter().filter_map(lasted).collect();
    findings.tell("call_ms_p50", lasted.median());
    findings.tell("call_ms_p99", lasted.p99());
    let backlog = Backlog::of(calls, &sent);
    findings.at_least("backlog_of_time", backlog.lasts().as_secs_f64() / day.length().as_secs_f64(), BACKLOG_MIN);
    findings.at_least("used_while_backlog", backlog.used(calls, A_MINUTE, WINDOW), USED_MIN);
}

/// What was set aside for the calls, and what they used.
fn estimates(metrics: &str, day: &Day, account: &Account, findings: &mut Findings) {
    let used = account.counts.prompt_tokens + account.counts.completion_tokens;
    let most: u64 = day.requests.iter().map(|request| u64::from(request.input + request.most())).sum();
    findings.tell("tokens_used", used as f64);
    findings.tell("tokens_used_of_allowed_by_callers", used as f64 / most as f64);
    // As the proxy tells it itself: of each call, on average.
    for direction in ["input", "output"] {
        let sum = |of: &str| -> f64 {
            let name = format!("holdfast_llm_estimate_percent_{of}{{");
            let label = format!("direction=\"{direction}\"");
            let lines = metrics.lines().filter(|line| line.starts_with(&name) && line.contains(&label));
            lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
        };
        findings.tell(format!("{direction}_percent_used_of_set_aside"), sum("sum") / sum("count"));
    }
}
