//! What the mesh is told: an agent, five tools of the simulator, and how they are guarded.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use super::day::here;

/// The agent type.
pub const AGENT: &str = "desk";
/// The tool that hangs.
pub const HANGING: &str = "risk_score";
/// The tools that do not.
pub const OTHERS: [&str; 4] = ["crm_lookup", "order_search", "policy_check", NOTING];
/// The tool with an effect: once for each case.
pub const NOTING: &str = "case_note";
/// Agents in the pool.
pub const POOL: u32 = 10;
/// Different customers: as many questions have a last good answer.
pub const CUSTOMERS: u64 = 40;

/// How long one answer of the model takes on the day.
const THINKING: Duration = Duration::from_secs(2);
/// How long the tool hangs on the day.
const HANG: Duration = Duration::from_secs(30);
/// One call in so many is slow by itself.
const TAIL_RATE: f64 = 0.1;

/// How the tools are guarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settings {
    /// As a pilot is built: nothing ever says no.
    Plain,
    /// As a tool should be: a timeout, places, a breaker, a chain of fallbacks.
    Protected,
}

impl Settings {
    /// For tables and figures.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Protected => "protected",
        }
    }
}

/// A tool as it is on the day.
struct Tool {
    name: &'static str,
    millis: u64,
    /// How much longer the slow ones take.
    tail_millis: u64,
}

const TOOLS: [Tool; 5] = [
    Tool { name: "crm_lookup", millis: 800, tail_millis: 600 },
    Tool { name: "order_search", millis: 600, tail_millis: 800 },
    Tool { name: HANGING, millis: 500, tail_millis: 300 },
    Tool { name: "policy_check", millis: 1_000, tail_millis: 600 },
    Tool { name: NOTING, millis: 600, tail_millis: 600 },
];

/// The rules by which the model works: look up, judge, note, answer. The answer says where each tool's answer came from.
const RULES: &str = r#"
[[simulator.rules]]
when = { offers = ["case_note"], unanswered = ["crm_lookup"] }
calls = [
    { tool = "crm_lookup", arguments = { customer = "{{user.customer}}" } },
    { tool = "order_search", arguments = { customer = "{{user.customer}}" } },
]

[[simulator.rules]]
when = { offers = ["case_note"], unanswered = ["risk_score"] }
calls = [
    { tool = "risk_score", arguments = { customer = "{{user.customer}}" } },
    { tool = "policy_check", arguments = { customer = "{{user.customer}}" } },
]

[[simulator.rules]]
when = { offers = ["case_note"], unanswered = ["case_note"] }
calls = [{ tool = "case_note", arguments = { case = "{{user.case}}", risk = "{{result.risk_score.outcome|REAL}}" } }]

[[simulator.rules]]
when = { offers = ["case_note"] }
[simulator.rules.json]
crm_lookup = "{{result.crm_lookup.outcome|REAL}}"
order_search = "{{result.order_search.outcome|REAL}}"
risk_score = "{{result.risk_score.outcome|REAL}}"
policy_check = "{{result.policy_check.outcome|REAL}}"
case_note = "{{result.case_note.outcome|REAL}}"
"#;

/// `holdfast.toml`.
pub fn config(settings: Settings) -> String {
    let names: Vec<_> = TOOLS.iter().map(|tool| tool.name).collect();
    let mut toml = format!(
        r#"
[agent]
concurrency = {POOL}

[agents.{AGENT}]
model = "scripted"
instructions = "You work off cases."
tools = {names:?}

[models.scripted]
deployments = [{{ provider = "simulated", model = "simulated-model" }}]

[providers.simulated]
kind = "openai"
base_url = "simulator:/v1"
keys = [{{ name = "simulated", requests_per_minute = 1000000, concurrency = 256 }}]

[simulator]
keys.simulated = {{ concurrency = 256 }}
faults = {{ latency = "{thinking}" }}
"#,
        thinking = span(THINKING),
    );
    if settings == Settings::Plain {
        toml += "\n[tool_proxy]\nhost_breaker = { minimum_calls = 1000000, failure_percent = 100 }\n";
    }
    for tool in &TOOLS {
        let guards = match settings {
            Settings::Plain => plain(),
            Settings::Protected => protected(tool),
        };
        let effect = if tool.name == NOTING { "idempotent" } else { "read_only" };
        write!(
            toml,
            "\n[tools.{name}]\nurl = \"simulator:/tools/{name}\"\neffect = \"{effect}\"\n{guards}\n\
             [simulator.tools.{name}]\nanswer = {{ tool = \"{name}\", of = \"{{{{arguments.customer}}}}\" }}\nfaults = {faults}\n",
            name = tool.name,
            faults = faults(tool),
        )
        .expect("text can be written");
    }
    toml + RULES
}

/// What a pilot writes, or what is left to a library that waits for ever.
fn plain() -> String {
    let ages = span(Duration::from_secs(3_600));
    format!(
        r#"timeout = "{ages}"
connect_timeout = "{ages}"
wait = "{ages}"
waiting_max = 1000000
concurrency = 10000
attempts = 1
breaker = {{ minimum_calls = 1000000, failure_percent = 100 }}
fallback = [{{ kind = "unavailable", advice = "Go on without it." }}]
"#
    )
}

/// Limits at a few times of what the tool needs when it is well, and a window in which enough calls come for a judgement.
fn protected(tool: &Tool) -> String {
    let (seconds, is_hanging) = (|seconds| span(Duration::from_secs(seconds)), tool.name == HANGING);
    let chain = match tool.name {
        NOTING => String::new(),
        _ => format!(r#"{{ kind = "last_good", max_age = "{}" }}, "#, seconds(8 * 3_600)),
    };
    format!(
        r#"timeout = "{timeout}"
connect_timeout = "{connect}"
wait = "{wait}"
concurrency = {places}
breaker = {{ window = "{window}", minimum_calls = 8, failure_percent = 50, open = "{open}", open_max = "{open_max}", probes = 2 }}
fallback = [{chain}{{ kind = "unavailable", advice = "Go on without it, and say so." }}]
"#,
        timeout = seconds(if is_hanging { 4 } else { 10 }),
        connect = seconds(4),
        wait = seconds(1),
        places = if is_hanging { 4 } else { 16 },
        window = seconds(60),
        open = seconds(10),
        open_max = seconds(60),
    )
}

/// A tool that is well: its usual time, and a tail.
fn faults(tool: &Tool) -> String {
    let millis = |millis| span(Duration::from_millis(millis));
    format!(
        "{{ latency = \"{}\", slow_rate = {TAIL_RATE}, slow_by = \"{}\" }}",
        millis(tool.millis),
        millis(tool.tail_millis)
    )
}

/// The hanging tool's faults as the simulator's knob takes them. What hangs is answered in the end, well, 30 s late.
pub fn hanging(rate: f64) -> Value {
    let tool = TOOLS.iter().find(|tool| tool.name == HANGING).expect("it is one of them");
    let millis = |millis| span(Duration::from_millis(millis));
    json!({
        "latency": millis(tool.millis), "slow_rate": TAIL_RATE, "slow_by": millis(tool.tail_millis),
        "hang_rate": rate, "hang_for": span(HANG),
    })
}

/// A span of the day, as it is here, for a configuration.
fn span(time: Duration) -> String {
    format!("{}ms", here(time).as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_as_much_faster_as_the_day_is() {
        assert_eq!(hanging(1.0)["hang_for"], "1500ms");
        let text = config(Settings::Protected);
        for wanted in
            ["faults = { latency = \"100ms\" }", "timeout = \"200ms\"", "window = \"3000ms\"", "open = \"500ms\""]
        {
            assert!(text.contains(wanted), "{wanted} is not in {text}");
        }
    }
}
