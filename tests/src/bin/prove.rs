//! `tests/prove NAME`: what measures time, runs long or loads the machine. Prints what it did, how many faults it really
//! injected, and one JSON line of figures; fails when a promise is broken or its own floor of work is not reached.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use holdfast_tests::accounts::{self, Manner};
use holdfast_tests::histories::{self, stage::Backing};
use holdfast_tests::kill_storm::{self, Stage, Storm};
use holdfast_tests::load::{self, Findings, Size, Store};
use holdfast_tests::pacing::{self, Scale};
use holdfast_tests::traces::{phoenix, storm, toll};
use holdfast_tests::{
    backlog, cascade, counting, fairness, llm_fairness, llm_trace, overload, queue_kills, rehearsal_report, rehearse,
    retail, shared_limit, state_load, streams, tool_effects, tool_hang, top,
};
use serde_json::{Value, json};

/// What a proof found.
struct Verdict {
    holds: bool,
    figures: Value,
}

impl From<Findings> for Verdict {
    fn from(findings: Findings) -> Self {
        Self { holds: findings.hold(), figures: findings.into_figures() }
    }
}

/// The proofs that are no part of this executable: `tests/prove` starts them by itself.
const ELSEWHERE: [(&str, &str); 5] = [
    ("fresh_clone", "the README's first command in a fresh clone and an empty environment"),
    ("simulation", "10,000 seeds of the queue's core, or as many as are named after it"),
    ("state_simulation", "3,000 seeds of several state processes that share a Redis, likewise"),
    ("model_simulation", "10,000 seeds of the llm-proxy's line and its limits, likewise"),
    ("sharing_simulation", "1,000 seeds of several llm-proxies that share a limit, likewise"),
];

const PROOFS: [(&str, &str); 24] = [
    ("accounts", "12,000 invocations that read, think and write one of 50 shared records: conditionally, and blindly"),
    ("backlog", "leases with a million waiting, beside a thousand, on both stores; or --embedded, or --postgres"),
    (
        "cascade",
        "a tool that hangs for 30 s under a day's bursts, time 20 times as fast: plain settings, then protected ones",
    ),
    ("counting", "10,000 read-modify-writes of one record by 32 clients"),
    ("fairness", "what one tenant's flood costs nine others; --postgres: with two queue processes"),
    ("kill_storm", "three minutes of kill -9 over everything but state; --embedded: on one SQLite"),
    ("model_fairness", "what one tenant's hundredfold load on one limit of tokens costs nine others"),
    ("overload", "up to ten times the capacity, from callers who wait for nobody; --postgres likewise"),
    (
        "pacing",
        "40 callers where 20 are allowed at once, 2,000 calls where 600 are a minute; time 20 times as fast, or --real",
    ),
    ("phoenix", "a trace UI that is not ours, Arize Phoenix, takes an invocation's trace and shows it as one tree"),
    ("queue_kills", "kill -9 of the queue between acknowledging and leasing, 200 times"),
    (
        "rehearsal_report",
        "a rehearsal's report in a real browser, light and dark, on a telephone and on paper; or the FILE named",
    ),
    (
        "rehearse",
        "a whole rehearsal: day-four, or the SCENARIO named (surge, noisy-tenant, blackout, ten-times); minutes each",
    ),
    ("retail_kills", "the retail desk's cases, three times over, while every service is killed in turn"),
    ("shared_limit", "three llm-proxies and one limit of a provider, through a Redis; one is killed in the middle"),
    (
        "state_histories",
        "50,000 calls at several state processes through kills, judged; --embedded, --postgres, --redis, --failover",
    ),
    ("state_load", "what saturating writes cost readers, and what five million records cost memory"),
    ("streams", "a thousand streams through one llm-proxy, slow readers among them, and callers that go away"),
    (
        "tool_effects",
        "1,000 storms over calls with effects: lost answers, killed workers, a killed proxy; --quick: 100",
    ),
    ("tool_hang", "what a hanging tool costs its callers, and the callers of another tool"),
    (
        "top",
        "`holdfast top` in a real terminal (tmux): a depth that rises and a circuit that opens are seen within a second",
    ),
    ("trace", "an hour of a real service's model calls, 20 times as fast, on a limit of tokens that its bursts exceed"),
    ("trace_toll", "what traces cost at the sampling set by default, against none at all"),
    ("traces", "5,000 invocations, all recorded, with retries and kills of every service: whose traces are whole"),
];

#[tokio::main]
async fn main() -> ExitCode {
    let name = std::env::args().nth(1).unwrap_or_default();
    let verdict = match name.as_str() {
        // Some proofs start this executable again.
        "serve-echo" => {
            load::echo::serve(port()).await;
            return ExitCode::SUCCESS;
        }
        "accounts" => accounts().await,
        "backlog" => backlog::run(size(), stores()).await.into(),
        "cascade" => found(cascade::run(size()).await),
        "counting" => counting().await,
        "fairness" => fairness::run(size(), store()).await.into(),
        "kill_storm" => kill_storm().await,
        "model_fairness" => llm_fairness::run(size()).await.into(),
        "overload" => overload::run(size(), store()).await.into(),
        "pacing" => pacing::run(size(), if has("--real") { Scale::Real } else { Scale::Compressed }).await.into(),
        "phoenix" => missing("Phoenix", phoenix::run().await),
        "queue_kills" => queue_kills().await,
        "rehearsal_report" => rehearsal_report::run(named().map(PathBuf::from)).await.into(),
        "rehearse" => rehearse::run(named().as_deref().unwrap_or(rehearse::DAY_FOUR), size()).await.into(),
        "retail_kills" => retail_kills().await,
        "shared_limit" => shared_limit::run(size()).await.into(),
        "state_histories" => state_histories().await,
        "state_load" => state_load::run(size()).await.into(),
        "streams" => streams::run(size()).await.into(),
        "tool_effects" => tool_effects().await,
        "tool_hang" => tool_hang().await,
        "top" => top::run(size()).await.into(),
        "trace" => found(llm_trace::run(size()).await),
        "trace_toll" => toll::run(size()).await.into(),
        "traces" => storm::run(size()).await.into(),
        _ => {
            ELSEWHERE.iter().chain(&PROOFS).for_each(|(name, what)| println!("{name:18} {what}"));
            return ExitCode::from(2);
        }
    };
    println!("{}", json!({"proof": name, "holds": verdict.holds, "figures": verdict.figures}));
    if verdict.holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn port() -> u16 {
    std::env::args().nth(2).and_then(|port| port.parse().ok()).expect("a port")
}

/// What is named after the proof: a file, a scenario.
fn named() -> Option<String> {
    std::env::args().nth(2).filter(|argument| !argument.starts_with("--"))
}

fn has(option: &str) -> bool {
    std::env::args().any(|argument| argument == option)
}

fn size() -> Size {
    if has("--quick") { Size::Quick } else { Size::Full }
}

fn store() -> Store {
    if has("--postgres") { Store::Postgres } else { Store::Embedded }
}

fn stores() -> &'static [Store] {
    match (has("--embedded"), has("--postgres")) {
        (true, false) => &[Store::Embedded],
        (false, true) => &[Store::Postgres],
        _ => &[Store::Embedded, Store::Postgres],
    }
}

async fn accounts() -> Verdict {
    let invocations = if has("--quick") { 1_200 } else { 12_000 };
    let conditional = accounts::run(invocations, Manner::Conditional).await;
    println!("conditional: {} of {invocations} counted", conditional.counted);
    let blind = accounts::run(invocations, Manner::Blind).await;
    println!("blind: {} of {invocations} counted", blind.counted);
    let whole = [conditional.succeeded, conditional.counted, conditional.writes] == [invocations; 3];
    Verdict {
        holds: whole && blind.writes == invocations && blind.counted < invocations,
        figures: json!({
            "invocations": invocations, "lost_updates": invocations - conditional.counted.min(invocations),
            "lost_updates_blind": invocations - blind.counted,
        }),
    }
}

/// What a proof on the test data found, where that is there.
fn found(findings: Option<Findings>) -> Verdict {
    missing("the test data", findings)
}

/// What a proof found, where what it needs is there.
fn missing(what: &str, findings: Option<Findings>) -> Verdict {
    findings.map_or_else(|| Verdict { holds: false, figures: json!({"missing": what}) }, Verdict::from)
}

async fn state_histories() -> Verdict {
    let calls = if has("--quick") { 5_000 } else { 50_000 };
    let wanted = [
        (Backing::Embedded, "--embedded"),
        (Backing::Postgres, "--postgres"),
        (Backing::Redis, "--redis"),
        (Backing::RedisPair, "--failover"),
    ];
    let named = wanted.iter().any(|(_, option)| has(option));
    let mut verdict = Verdict { holds: true, figures: json!({}) };
    for (backing, option) in wanted.into_iter().filter(|(_, option)| !named || has(option)) {
        let load = histories::clients::Load { calls, clients: 16, records: 200, cached_percent: 40 };
        let report = histories::run(&histories::Plan { load, backing, processes: 3, faults_each: 8 }).await;
        println!("{option}: {}", report.figures());
        report.broken.iter().for_each(|broken| println!("{broken}"));
        verdict.holds &= report.broken.is_empty() && report.answered as u64 >= calls * 9 / 10;
        verdict.figures[&option[2..]] = report.figures();
    }
    verdict
}

async fn counting() -> Verdict {
    let (mesh, begun) = (counting::mesh().await, Instant::now());
    counting::updates(&mesh, 10_000).await;
    let (count, writes) = counting::count(&mesh).await;
    let seconds = begun.elapsed().as_secs_f64();
    println!("{} clients counted to {count}", counting::CLIENTS);
    Verdict {
        holds: (count, writes) == (10_000, 10_000),
        figures: json!({"count": count, "accepted_writes": writes, "updates_per_s": 10_000.0 / seconds}),
    }
}

async fn kill_storm() -> Verdict {
    let storm = Storm::FULL;
    let stage = if has("--embedded") { Stage::embedded(&storm).await } else { Stage::postgres(&storm).await };
    let report = kill_storm::run(&storm, stage).await;
    println!("{} kills {:?}, {} of {} ended", report.killed(), report.kills, report.completed, report.acknowledged);
    println!("{} executions, repeats {:?}", report.executions, report.repeats);
    Verdict { holds: report.holds() && report.was_a_storm(&storm), figures: report.figures() }
}

async fn queue_kills() -> Verdict {
    let report = queue_kills::run(200).await;
    println!("{} kills after {} acknowledgements", report.kills, report.acknowledged);
    Verdict {
        holds: report.nothing_lost_or_repeated() && report.kills == 200 && report.acknowledged >= 1_000,
        figures: json!({
            "kills": report.kills, "acknowledged": report.acknowledged, "held": report.held,
            "missing": report.missing, "repeated": report.repeated,
        }),
    }
}

async fn retail_kills() -> Verdict {
    let Some(report) = retail::replay(retail::Disturbance::kills(3)).await else {
        return Verdict { holds: false, figures: json!({"missing": "the test data"}) };
    };
    println!("{} kills during {} cases", report.kills.len(), report.cases);
    Verdict {
        holds: report.wrong.is_empty() && report.cases == 3 * 115 && report.kills.len() >= 18,
        figures: json!({
            "cases": report.cases, "kills": report.kills.len(), "wrong": report.wrong,
            "repeated_calls_answered_from_record": report.repeats,
        }),
    }
}

async fn tool_effects() -> Verdict {
    // Other seeds than those of the tests.
    let runs = if has("--quick") { 100 } else { 1_000 };
    let report = tool_effects::run(1_000..1_000 + runs, 4).await;
    report.broken.iter().for_each(|broken| println!("{broken}"));
    report.lacks().iter().for_each(|what| println!("too few {what}"));
    let a_storm = report.runs == runs && report.lacks().is_empty();
    Verdict { holds: report.holds() && a_storm, figures: report.figures() }
}

async fn tool_hang() -> Verdict {
    let report = tool_hang::run(2_000).await;
    println!("{} calls hung before the breaker opened; {} got the fallback", report.hung, report.fallbacks);
    Verdict {
        holds: report.fallbacks >= 2_000 && report.degraded_others == 0,
        figures: json!({
            "hung": report.hung, "fallbacks": report.fallbacks, "others_degraded": report.degraded_others,
            "fallback_p99_us": report.fallback_p99.as_micros(),
            "other_p99_us_alone": report.alone_p99.as_micros(), "other_p99_us_beside": report.beside_p99.as_micros(),
        }),
    }
}
