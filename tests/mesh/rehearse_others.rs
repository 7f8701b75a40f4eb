//! The other scenarios of `holdfast rehearse`, shorter than their short forms: by outcomes and counts.

use std::path::Path;
use std::process::Stdio;

use holdfast_testkit::executable;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

const BLACKOUT: &str = include_str!("../../shared/rehearsal/scenarios/blackout.toml");
const TEN_TIMES: &str = include_str!("../../shared/rehearsal/scenarios/ten-times.toml");

/// Somebody's agent, with a tool and a provider that nobody must reach and secrets that nobody has.
const OWN: &str = r#"
[gateway]
keys = [{ name = "desk", key = "env:NOBODY_SETS_THIS", tenant = "retail", role = "caller" }]

[agents.support]
model = "default"
tools = ["orders"]

[models.default]
deployments = [{ provider = "vendor", model = "large" }]

[providers.vendor]
kind = "openai"
base_url = "https://provider.invalid/v1"
keys = [{ name = "main", key = "env:NOBODY_SETS_THIS", concurrency = 4 }]

[tools.orders]
url = "https://orders.invalid/{id}"
method = "GET"
bearer = "env:NOBODY_SETS_THIS"
effect = "read_only"
timeout = "4s"
schema = '{"type":"object","required":["id"],"properties":{"id":{"type":"string"}}}'
fallback = [{ kind = "unavailable", advice = "Say that it is not known now." }]
"#;

/// Plays a scenario in its short form, and gives its document.
async fn played(home: &Path, scenario: &str, arguments: &[&str]) -> Value {
    std::fs::write(home.join("scenario.toml"), scenario).expect("it is written");
    let mut command = Command::new(executable());
    command.args(["rehearse", "scenario.toml", "--quick", "--json"]).args(arguments);
    command.env("TMPDIR", home).current_dir(home).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: no document; {said}"))
}

fn home() -> TempDir {
    TempDir::with_prefix("holdfast-rehearse-").expect("a temporary directory")
}

/// A side without what is drawn over time, for people.
fn brief(side: &Value) -> Value {
    let mut brief = side.clone();
    brief.as_object_mut().map(|side| side.remove("series"));
    brief
}

/// A scenario with other words in it, each of which was there.
fn with(scenario: &str, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(scenario.to_owned(), |text, (from, into)| {
        assert!(text.contains(from), "{from} is not in it");
        text.replace(from, into)
    })
}

#[tokio::test]
async fn what_is_taken_away_and_given_back_costs_nobody_an_answer_and_no_record_an_update() {
    let home = home();
    // The provider, and the process that keeps the records.
    let short = with(
        BLACKOUT,
        &[
            ("take = \"queue\"\nlength = \"20s\"\nquick = \"8s\"", "take = \"queue\"\nlength = \"20s\""),
            ("take = \"llm_proxy\"\nlength = \"20s\"\nquick = \"8s\"", "take = \"llm_proxy\"\nlength = \"20s\""),
            (
                "text = \"queue is back\"\nlength = \"60s\"\nquick = \"32s\"",
                "text = \"queue is back\"\nlength = \"60s\"",
            ),
            (
                "text = \"llm-proxy is back\"\nlength = \"60s\"\nquick = \"32s\"",
                "text = \"llm-proxy is back\"\nlength = \"60s\"",
            ),
            ("quick = \"40s\"", "quick = \"16s\""),
        ],
    );
    let document = played(home.path(), &short, &[]).await;
    let (off, on) = (&document["off"], &document["on"]);
    for key in ["lost_updates", "wrong_answers", "provider_429", "refusals_without_retry_after"] {
        assert_eq!(on[key], 0, "{key}: {}", brief(on));
    }
    assert_eq!(on["succeeded"], on["offered"], "{}", brief(on));
    assert!(on["offered"].as_u64() > Some(20), "{}", brief(on));
    assert!(off["failed"].as_u64() > Some(0), "{}", brief(off));
    let faults = |side: &Value| {
        let marks = side["marks"].as_array().expect("a list");
        marks.iter().filter(|mark| mark["fault"] == true).map(|mark| mark["text"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(faults(on), ["the provider is gone", "state is gone"]);
}

#[tokio::test]
async fn ones_own_agents_are_played_on_simulated_ends_alone() {
    let home = home();
    std::fs::write(home.path().join("own.toml"), OWN).expect("it is written");
    let short = with(TEN_TIMES, &[("quick = \"60s\"", "quick = \"20s\""), ("quick = \"90s\"", "quick = \"30s\"")]);
    let arguments = ["--config", "own.toml", "--volume", "6000", "--times", "5"];
    let document = played(home.path(), &short, &arguments).await;
    for side in [&document["off"], &document["on"]] {
        // 6,000 in eight hours for 20 s, and five times that for 30.
        assert_eq!(side["offered"], 4 + 31, "{}", brief(side));
        for unknown in ["lost_updates", "wrong_answers", "degraded", "wait_p99_ms", "state_write_timeouts"] {
            assert!(side[unknown].is_null(), "nobody looked at {unknown}: {}", brief(side));
        }
    }
    let on = &document["on"];
    assert!(on["tool_calls"].as_u64() >= on["offered"].as_u64(), "each asks its tool: {}", brief(on));
    assert_eq!(on["succeeded"], on["offered"], "{}", brief(on));
    assert_eq!(on["provider_429"], 0, "{}", brief(on));
    let terms = document["terms"].to_string();
    assert!(terms.contains("support"), "{terms}");
}
