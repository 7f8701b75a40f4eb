//! One tenant asks for a hundred times as much as each of nine others, on one limit of tokens, and all have the same weight.
//!
//! Time runs 20 times as fast: the provider's minute is 3 s. Each of the nine always has eight calls in hand, the tenth eight
//! hundred; as one is answered, the next is asked for. So all of them have calls waiting all the time, and what each of the
//! nine waits for is its share: a tenth of the limit serves eight calls of its size in a time that is known. Calls differ in
//! their sizes from tenant to tenant, so that who is fair by calls is not fair by tokens.
//!
//! At first the same calls come evenly, as many as the limit allows, for a window and a half. A window that was filled at
//! once would be free again at once, for ever, and between that nobody's wait could be said to be his share.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::future::join_all;
use holdfast_config::Peer;
use holdfast_simulator::ModelCall;
use holdfast_testkit::{Mesh, MeshBuilder};
use tokio::task::JoinSet;

use crate::llm::{Account, Answered, Ask, Caller, Clock, key_of, prompt};
use crate::load::{Findings, Size, Spread, offer, telling};

const A_MINUTE: u64 = 150_000;
const WINDOW: Duration = Duration::from_secs(3);
const KEY: &str = "shared";
const FLOOD: &str = "flood";
const NORMAL: usize = 9;
const IN_HAND: usize = 8;
const TIMES: usize = 100;

const JAIN_MIN: f64 = 0.98;
const WAIT_FACTOR_MAX: f64 = 2.0;
/// A limit that nobody comes near to is shared by anybody.
const USED_MIN: f64 = 0.9;

/// One tenant, whose calls all have the same size.
#[derive(Debug, Clone)]
struct Tenant {
    name: String,
    caller: Caller,
    input: u32,
    output: u32,
    in_hand: usize,
}

impl Tenant {
    fn ask(&self) -> Ask {
        Ask {
            model: "shared".into(),
            prompt: prompt(self.input as usize * 4),
            output_tokens: self.output,
            max_output_tokens: self.output,
            mark: self.name.clone(),
            deadline: Duration::from_secs(600),
            ..Ask::default()
        }
    }

    fn size(&self) -> u64 {
        u64::from(self.input + self.output)
    }

    /// What its calls in hand take on a tenth of the limit.
    fn share_takes(&self) -> Duration {
        let share = A_MINUTE as f64 / (NORMAL + 1) as f64;
        WINDOW.mul_f64((self.in_hand as u64 * self.size()) as f64 / share)
    }
}

fn names() -> impl Iterator<Item = String> {
    (1..=NORMAL).map(|number| format!("normal_{number}")).chain([FLOOD.to_owned()])
}

fn mesh() -> MeshBuilder {
    let limits = format!("tokens_per_minute = {A_MINUTE}");
    let mut config = format!(
        r#"
[providers.shared]
kind = "openai"
base_url = "simulator:/v1"
window = "{WINDOW:?}"
keys = [{{ name = "{KEY}", {limits} }}]

[models.shared]
deployments = [{{ provider = "shared", model = "simulated-model" }}]

[simulator]
faults = {{ latency = "20ms" }}
keys.{KEY} = {{ {limits}, window = "{WINDOW:?}" }}
"#
    );
    let mut mesh = Mesh::builder().only(&[Peer::Gateway, Peer::LlmProxy, Peer::Simulator]);
    for (settings, variable, secret) in names().map(|name| key_of(&name)) {
        config += &settings;
        mesh = mesh.env(&variable, secret);
    }
    mesh.config(config).env("HOLDFAST_TELEMETRY__LOG", "error")
}

/// Nine tenants, and one that floods.
///
/// # Panics
/// Where a service does not start.
pub async fn run(size: Size) -> Findings {
    let mut findings = Findings::default();
    let mesh = mesh().start().await;
    let caller = Caller::at(&mesh, Peer::Gateway);
    let tenants: Vec<Tenant> = names().enumerate().map(|(place, name)| tenant(place, name, &caller)).collect();
    telling("the window is filled evenly");
    fill(&tenants).await;
    let clock = Clock::read(&mesh).await;
    let (begun, measured) = (Instant::now(), WINDOW * size.of(10, 4));
    telling(format!("{NORMAL} tenants with {IN_HAND} calls in hand, and one with {}", IN_HAND * TIMES));
    // The first window is not measured: the line must have formed. Nor is what comes when the first have stopped.
    let (from, until) = (begun + WINDOW, begun + WINDOW + measured);
    let stop = until + Duration::from_millis(200);
    let answers = join_all(tenants.iter().map(|tenant| keep_asking(tenant, stop))).await;
    let account = Account::of(&mesh, KEY).await;
    let (from_us, until_us) = (clock.at_us(from) as u64, clock.at_us(until) as u64);
    let calls: Vec<&ModelCall> =
        account.calls.iter().filter(|call| (from_us..until_us).contains(&call.at_us)).collect();
    tell_shares(&tenants, &calls, measured, &mut findings);
    tell_waits(&tenants, &answers, from, &mut findings);
    findings.at_most("refused_by_provider", account.counts.refused as f64, 0.0);
    let lost = answers.iter().flatten().filter(|answer| !answer.is_real()).count();
    findings.at_most("not_answered", lost as f64, 0.0);
    findings.at_most("tokens_in_any_window_max_of_limit", account.counts.most.tokens as f64 / A_MINUTE as f64, 1.0);
    findings
}

fn tenant(place: usize, name: String, caller: &Caller) -> Tenant {
    let (_, _, secret) = key_of(&name);
    let floods = name == FLOOD;
    let output = if floods { 100 } else { [50, 100, 200][place % 3] };
    let in_hand = if floods { IN_HAND * TIMES } else { IN_HAND };
    Tenant { name, caller: caller.with_key(&secret), input: output * 4, output, in_hand }
}

/// Calls as evenly as the limit allows, for a window and a half.
async fn fill(tenants: &[Tenant]) {
    let (mut at, mut due, mut which) = (Duration::ZERO, Vec::new(), tenants.iter().cycle());
    while at < WINDOW + WINDOW / 2 {
        let tenant = which.next().expect("there are some");
        due.push((at, tenant));
        // A little less than the limit, so that it is no wall yet.
        at += WINDOW.mul_f64(tenant.size() as f64 * 1.02 / A_MINUTE as f64);
    }
    let mut next = due.iter();
    offer(due.iter().map(|(at, _)| *at), || {
        let (_, tenant) = next.next().expect("as many as arrivals");
        tenant.caller.call(&tenant.ask())
    })
    .await;
}

/// Keeps as many calls in hand as the tenant has, until it stops; what is in line then is given up.
async fn keep_asking(tenant: &Tenant, stop: Instant) -> Vec<Answered> {
    let (mut calls, mut answers) = (JoinSet::new(), Vec::new());
    (0..tenant.in_hand).for_each(|_| drop(calls.spawn(tenant.caller.call(&tenant.ask()))));
    let asking = async {
        while let Some(answer) = calls.join_next().await {
            answers.push(answer.expect("a call does not panic"));
            calls.spawn(tenant.caller.call(&tenant.ask()));
        }
    };
    let ended = tokio::time::timeout_at(stop.into(), asking).await;
    assert!(ended.is_err(), "there is always another call");
    answers
}

fn tell_shares(tenants: &[Tenant], calls: &[&ModelCall], measured: Duration, findings: &mut Findings) {
    let mut tokens = BTreeMap::<&str, u64>::new();
    for call in calls {
        *tokens.entry(&call.mark).or_default() += call.input_tokens + call.output_tokens;
    }
    let shares: Vec<f64> =
        tenants.iter().map(|tenant| tokens.get(tenant.name.as_str()).copied().unwrap_or_default() as f64).collect();
    let (sum, squares) = (shares.iter().sum::<f64>(), shares.iter().map(|share| share * share).sum::<f64>());
    findings.at_least("jain_by_tokens", sum * sum / (shares.len() as f64 * squares), JAIN_MIN);
    let fair = sum / shares.len() as f64;
    let spread: Spread = shares.iter().map(|share| share / fair).collect();
    findings.tell("smallest_share_of_fair", spread.below(0.0));
    findings.tell("largest_share_of_fair", spread.below(1.0));
    let allowed = A_MINUTE as f64 * measured.as_secs_f64() / WINDOW.as_secs_f64();
    findings.at_least("used", sum / allowed, USED_MIN);
}

/// From the question to the answer, of the nine, as a part of what their calls in hand take on their share.
fn tell_waits(tenants: &[Tenant], answers: &[Vec<Answered>], from: Instant, findings: &mut Findings) {
    let of_share = |(tenant, answers): (&Tenant, &Vec<Answered>)| -> Spread {
        let measured = answers.iter().filter(|answer| answer.sent >= from);
        let share = tenant.share_takes().as_secs_f64();
        measured.map(|answer| (answer.ended - answer.sent).as_secs_f64() / share).collect()
    };
    let all: Vec<Spread> = tenants.iter().zip(answers).take(NORMAL).map(of_share).collect();
    let fewest = all.iter().map(Spread::len).min().unwrap_or_default();
    // The floor: of every tenant enough was seen.
    findings.at_least("calls_of_the_least", fewest as f64, 20.0);
    let worst = |figure: fn(&Spread) -> f64| all.iter().map(figure).fold(0.0, f64::max);
    findings.at_most("wait_of_share_p50_worst", worst(Spread::median), WAIT_FACTOR_MAX);
    findings.at_most("wait_of_share_p99_worst", worst(Spread::p99), WAIT_FACTOR_MAX);
}
