//! The other scenarios of `holdfast rehearse`, shorter than their short forms: by outcomes and counts.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use holdfast_config::Peer;
use holdfast_testkit::{Signal, executable};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::{Instant, interval};

const BLACKOUT: &str = include_str!("../../shared/rehearsal/scenarios/blackout.toml");
const TEN_TIMES: &str = include_str!("../../shared/rehearsal/scenarios/ten-times.toml");
/// What comes at all comes within this time.
const COMES_WITHIN: Duration = Duration::from_secs(60);

/// Less time between what is taken away. Callers wait for much longer than all of it lasts, so nobody's answer hangs on how soon
/// things are well again.
const SHORTER: [(&str, &str); 2] = [("quick = \"32s\"", "quick = \"12s\""), ("quick = \"16s\"", "quick = \"8s\"")];

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
    let output = rehearsal(home, arguments).output().await.expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: no document; {said}"))
}

/// A rehearsal of the scenario in a directory, in its short form.
fn rehearsal(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(executable());
    command.args(["rehearse", "scenario.toml", "--quick", "--json"]).args(arguments);
    command.env("TMPDIR", home).current_dir(home).stdin(Stdio::null()).kill_on_drop(true);
    command
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

/// The blackout, with nothing taken away but these, and shorter than in short.
fn blackout(taken: &[&str]) -> String {
    let mut keeps = true;
    let phases = BLACKOUT.split("[[phases]]\n").map(|phase| {
        if let Some(what) = phase.lines().find_map(|line| line.strip_prefix("take = ")) {
            keeps = taken.contains(&what.trim_matches('"'));
        }
        // A phase without a short length is left out of the short form.
        let stays = keeps || phase.contains("all is well");
        let lines = phase.lines().filter(|line| stays || !line.starts_with("quick = "));
        lines.collect::<Vec<_>>().join("\n") + "\n"
    });
    with(&phases.collect::<Vec<_>>().join("[[phases]]\n"), &[("quick = \"40s\"", "quick = \"16s\"")])
}

/// What was taken away of a side.
fn faults(side: &Value) -> Vec<Value> {
    let marks = side["marks"].as_array().expect("a list");
    marks.iter().filter(|mark| mark["fault"] == true).map(|mark| mark["text"].clone()).collect()
}

/// That nobody on the protected side came to harm.
fn is_unharmed(on: &Value) {
    for key in ["lost_updates", "wrong_answers", "provider_429", "refusals_without_retry_after", "left_lying"] {
        assert_eq!(on[key], 0, "{key}: {}", brief(on));
    }
    assert_eq!(on["succeeded"], on["offered"], "{}", brief(on));
    assert!(on["offered"].as_u64() > Some(10), "{}", brief(on));
}

#[tokio::test]
async fn what_is_taken_away_and_given_back_costs_nobody_an_answer_and_no_record_an_update() {
    let home = home();
    // The provider, and the process that keeps the records.
    let document = played(home.path(), &with(&blackout(&["provider", "state"]), &SHORTER), &[]).await;
    let (off, on) = (&document["off"], &document["on"]);
    is_unharmed(on);
    assert!(off["failed"].as_u64() > Some(0), "{}", brief(off));
    assert_eq!(faults(on), ["the provider is gone", "state is gone"]);
}

#[tokio::test]
async fn neither_databases_that_are_killed_nor_workers_cost_anybody_an_answer() {
    let home = home();
    // PostgreSQL does not run as root, and then has to get at its files here.
    std::fs::set_permissions(home.path(), Permissions::from_mode(0o711)).expect("it is ours");
    let short = with(&blackout(&["postgres", "redis", "pool"]), &SHORTER);
    let document = played(home.path(), &short, &[]).await;
    let (off, on) = (&document["off"], &document["on"]);
    assert_eq!(faults(on), ["PostgreSQL is gone", "Redis is gone", "the agent pool is gone"], "{}", document["terms"]);
    assert_eq!(faults(off), faults(on));
    is_unharmed(on);
    let in_hand = [off, on].map(|side| side["cut_off"].as_u64().expect("a count"));
    assert!(in_hand.iter().sum::<u64>() > 0, "whoever was killed had work in hand: {}", brief(on));
    assert_eq!(std::fs::read_dir(home.path()).expect("it is there").count(), 1, "but for the scenario nothing is left");
}

#[tokio::test]
async fn what_was_acknowledged_and_never_stored_is_counted_as_lost() {
    let home = home();
    // One record, whose writes are acknowledged from memory, with a disk that takes 5 s for each commit.
    let forgetful = with(
        &blackout(&["provider"]),
        &[
            ("quick = \"32s\"", "quick = \"8s\""),
            ("records = 50", "records = 1"),
            ("write_timeout = \"2500ms\"", "write_timeout = \"2m\""),
            ("durability = \"durable\"", "durability = \"cached\""),
            (
                "[on.settings.llm_proxy.sharing]",
                "[on.settings.state]\ncommit_delay = \"20s\"\ncached = { age_max = \"2m\" }\n\n[on.settings.llm_proxy.sharing]",
            ),
        ],
    );
    let document = played(home.path(), &forgetful, &[]).await;
    let on = &document["on"];
    assert!(on["succeeded"].as_u64() > Some(0), "{}", brief(on));
    assert!(on["lost_updates"].as_u64() > Some(0), "memory had them, and nothing else: {}", brief(on));
}

#[tokio::test]
async fn what_this_machine_has_no_programs_for_is_left_out_and_told() {
    let home = home();
    std::fs::write(home.path().join("scenario.toml"), blackout(&["redis"])).expect("it is written");
    // No program is found here, a Redis among them.
    let mut command = rehearsal(home.path(), &[]);
    let output = command.env("PATH", home.path()).output().await.expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert!(said.contains("Redis is not taken away") && said.contains("apt-get install redis-server"), "{said}");
    let terms = document["terms"].as_array().expect("a list");
    assert!(terms.iter().any(|term| term[0] == "left out" && term[1].to_string().contains("Redis")), "{terms:?}");
    assert_eq!(faults(&document["on"]).len(), 0);
    assert!(!document["promises"].to_string().contains("Redis"), "{}", document["promises"]);
    is_unharmed(&document["on"]);
}

#[tokio::test]
async fn a_mesh_or_a_service_that_ends_by_itself_ends_the_rehearsal_and_is_told() {
    for (victim, told) in [(None, "signal: 9"), (Some(Peer::Queue), "its queue ended by itself")] {
        let home = home();
        std::fs::write(home.path().join("scenario.toml"), blackout(&["provider"])).expect("it is written");
        let child = rehearsal(home.path(), &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let child = child.expect("it starts");
        let up = a_mesh_that_is_played_on(child.id().expect("it runs")).await;
        let victim = victim.map_or(up, |peer| children(up, peer.name())[0]);
        Signal::Kill.send(victim).await;
        let output = child.wait_with_output().await.expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains("the rehearsal's mesh broke") && said.contains(told), "{said}");
    }
}

/// The `up` of a rehearsal, once its simulator has been called.
async fn a_mesh_that_is_played_on(rehearsal: u32) -> u32 {
    // Whoever installed another one before has the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (end, mut looks) = (Instant::now() + COMES_WITHIN, interval(Duration::from_millis(50)));
    loop {
        assert!(Instant::now() < end, "nothing is played");
        looks.tick().await;
        let Some(&up) = children(rehearsal, "up").first() else { continue };
        let arguments = arguments(up);
        let base = arguments.iter().skip_while(|argument| *argument != "--port-base").nth(1);
        let Some(base) = base.and_then(|base| base.parse::<u16>().ok()) else { continue };
        let url = format!("http://127.0.0.1:{}/admin/counts", base + Peer::Simulator.port_offset());
        let Ok(answer) = reqwest::get(url).await else { continue };
        let Ok(counts) = answer.json::<Value>().await else { continue };
        if counts["keys"]["rehearsed"]["requests"].as_u64() > Some(0) {
            return up;
        }
    }
}

/// The children of a process that have a word among their arguments.
fn children(parent: u32, word: &str) -> Vec<u32> {
    let is_child = |process: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        let fields =
            stat.rsplit_once(')').map(|(_, fields)| fields.split_whitespace().nth(1) == Some(&parent.to_string()));
        fields == Some(true) && arguments(*process).iter().any(|argument| argument == word)
    };
    let processes = std::fs::read_dir("/proc").expect("the system lists its processes").flatten();
    processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(is_child).collect()
}

fn arguments(process: u32) -> Vec<String> {
    let arguments = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    arguments.split(|byte| *byte == 0).map(|argument| String::from_utf8_lossy(argument).into_owned()).collect()
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
