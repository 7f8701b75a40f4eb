//! `holdfast rehearse`, in its short form. What became of it is asserted by outcomes and counts: how long it took is nobody's
//! affair here.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use holdfast_config::Peer;
use holdfast_testkit::{Mesh, Signal, executable};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::{Instant, interval};

const DAY_FOUR: &str = include_str!("../../shared/rehearsal/scenarios/day-four.toml");
/// What comes at all comes within this time.
const COMES_WITHIN: Duration = Duration::from_secs(60);

/// A rehearsal whose temporary files are in a directory of the test's own.
pub(crate) fn rehearse(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(executable());
    command.arg("rehearse").args(arguments).arg("--json").env("TMPDIR", home).current_dir(home);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

pub(crate) fn home() -> TempDir {
    TempDir::with_prefix("holdfast-rehearse-").expect("a temporary directory")
}

pub(crate) async fn played(mut command: Command) -> (Option<i32>, Output) {
    let output = command.output().await.expect("it runs");
    (output.status.code(), output)
}

pub(crate) fn document(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: no document in {text:?}; {}", said(output)))
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A side without what is drawn over time, for people.
pub(crate) fn brief(side: &Value) -> Value {
    let mut brief = side.clone();
    brief.as_object_mut().map(|side| side.remove("series"));
    brief
}

/// Every invocation is counted once.
pub(crate) fn adds_up(side: &Value) {
    let sum: u64 = ["succeeded", "failed", "expired", "refused"].map(|key| count(side, key)).iter().sum();
    assert_eq!(sum, count(side, "offered"), "{}", brief(side));
    let series = side["series"].as_array().expect("a list");
    let of = |key: &str| series.iter().map(|bucket| count(bucket, key)).sum::<u64>();
    assert_eq!((of("offered"), of("completed")), (count(side, "offered"), count(side, "succeeded")));
}

pub(crate) fn count(of: &Value, key: &str) -> u64 {
    of[key].as_u64().unwrap_or_else(|| panic!("{key} is no count in {of}"))
}

#[tokio::test]
async fn the_fourth_day_shows_its_failures_without_protection_and_none_with_it() {
    let home = home();
    // Somebody's proxy, at which nobody answers, and the collector of somebody's production.
    let collector = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    collector.set_nonblocking(true).expect("it can be asked");
    let endpoint = format!("http://{}", collector.local_addr().expect("it listens"));
    let mut command = rehearse(home.path(), &["day-four", "--quick"]);
    command.env("http_proxy", "http://127.0.0.1:9").env("ALL_PROXY", "http://127.0.0.1:9").env_remove("NO_PROXY");
    command.env_remove("no_proxy").env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
    let (code, output) = played(command).await;
    let document = document(&output);
    assert!(document["terms"].to_string().contains("not judged: success rate"), "{}", document["terms"]);
    let sent = collector.accept().expect_err("what is simulated is told to no collector of somebody's own");
    assert_eq!(sent.kind(), std::io::ErrorKind::WouldBlock);
    let (off, on) = (&document["off"], &document["on"]);
    let keys = |side: &Value| side.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(off), keys(on));
    [off, on].into_iter().for_each(adds_up);
    assert_eq!(count(off, "offered"), count(on, "offered"));
    assert!(count(on, "succeeded") > 0, "{}", brief(on));
    for key in ["lost_updates", "wrong_answers", "provider_429", "refusals_without_retry_after"] {
        assert_eq!(count(on, key), 0, "{key}: {}", brief(on));
    }
    // Which of them comes in so short a day is up to the machine's pace; that each comes in a whole one is told by the command.
    let failures = ["lost_updates", "state_write_timeouts", "tool_stalls", "provider_429"].map(|key| count(off, key));
    assert!(failures.iter().sum::<u64>() > 0, "{}", brief(off));
    assert_eq!(code, Some(0), "{}", document["promises"]);
    assert_eq!(std::fs::read_dir(home.path()).expect("it is there").count(), 0, "nothing is left behind");
}

#[tokio::test]
async fn a_broken_promise_is_an_exit_code_of_one_and_named() {
    let home = home();
    // A few invocations, of which as many lost updates are promised as nobody can keep.
    let few = DAY_FOUR.replacen("quick = \"2m\"", "quick = \"10s\"", 1);
    let text =
        few.replacen("figure = \"lost_updates\"\nat_most = 0", "figure = \"lost_updates\"\nat_least = 1000000", 1);
    assert_ne!(few, DAY_FOUR);
    assert_ne!(text, few);
    std::fs::write(home.path().join("mine.toml"), text).expect("it is written");
    let (code, output) = played(rehearse(home.path(), &["mine.toml", "--quick"])).await;
    let document = document(&output);
    let broken: Vec<_> =
        document["promises"].as_array().expect("a list").iter().filter(|promise| promise["held"] == false).collect();
    assert_eq!(broken.len(), 1, "{}", document["promises"]);
    assert_eq!(code, Some(1));
}

#[tokio::test]
async fn a_scenario_that_does_not_hold_is_told_with_line_and_key_before_anything_starts() {
    let home = home();
    let text = DAY_FOUR.replacen("workers = 10", "wrokers = 10", 1);
    std::fs::write(home.path().join("mine.toml"), &text).expect("it is written");
    let line = text.lines().position(|line| line.starts_with("wrokers")).expect("it is there") + 1;
    let (code, output) = played(rehearse(home.path(), &["mine.toml"])).await;
    let said = said(&output);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains(&format!("mine.toml:{line}: pool.wrokers")), "{said}");
}

#[tokio::test]
async fn an_interrupted_rehearsal_leaves_nothing_behind() {
    let home = home();
    let child = rehearse(home.path(), &["day-four", "--report", "report.html"]).spawn().expect("it starts");
    let id = child.id().expect("it runs");
    // Once a mesh of its own has its data, the day has begun or is about to.
    let data = || {
        let entries = std::fs::read_dir(home.path()).expect("it is there");
        entries.filter_map(Result::ok).any(|entry| entry.path().join("data/queue.db").exists())
    };
    let (end, mut looks) = (Instant::now() + COMES_WITHIN, interval(Duration::from_millis(20)));
    while !data() {
        assert!(Instant::now() < end, "no mesh is started");
        looks.tick().await;
    }
    Signal::Interrupt.send(id).await;
    let output = child.wait_with_output().await.expect("it ends");
    assert!(output.status.code() == Some(3) && said(&output).contains("interrupted"), "{}", said(&output));
    assert_eq!(std::fs::read_dir(home.path()).expect("it is there").count(), 0, "nothing is left behind");
}

#[tokio::test]
async fn a_mesh_that_runs_is_driven_as_it_is_and_only_on_simulated_models() {
    let home = home();
    let mut print = rehearse(home.path(), &["day-four", "--quick", "--settings", "on"]);
    let printed = print.output().await.expect("it runs");
    let settings = document(&printed)["settings"].as_str().expect("a text").to_owned();
    let mesh = Mesh::builder().config(settings).start().await;
    let at = |mesh: &Mesh, peer| mesh.url(peer);
    let (address, simulator) = (at(&mesh, Peer::Gateway), at(&mesh, Peer::Simulator));
    let few = ["day-four", "--quick", "--volume", "2000", "--address", &address, "--simulator", &simulator];
    let (_, output) = played(rehearse(home.path(), &few)).await;
    let document = document(&output);
    assert!(document["off"].is_null() && count(&document["on"], "succeeded") > 0, "{}", brief(&document["on"]));
    assert_eq!(count(&document["on"], "lost_updates"), 0);
    adds_up(&document["on"]);

    // Another simulator knows nothing of the rehearsal's models, as no real provider does.
    let stranger = Mesh::builder().only(&[Peer::Simulator]).start().await;
    let elsewhere = at(&stranger, Peer::Simulator);
    let refused = ["day-four", "--quick", "--address", &address, "--simulator", &elsewhere];
    let (code, output) = played(rehearse(home.path(), &refused)).await;
    let said = said(&output);
    assert!(code == Some(3) && said.contains("--settings on"), "{said}");
}

#[tokio::test]
async fn settings_that_no_mesh_takes_are_told_where_they_stand_before_anything_is_played() {
    let home = home();
    // The side that is played last is looked at first, too.
    let text = DAY_FOUR.replacen("[on.settings.queue]", "[on.settings.queue]\nagent_depth_mx = 40", 1);
    assert_ne!(text, DAY_FOUR);
    std::fs::write(home.path().join("mine.toml"), &text).expect("it is written");
    let (code, output) = played(rehearse(home.path(), &["mine.toml"])).await;
    let place = format!("mine.toml:{}: on.settings.queue.agent_depth_mx: unknown field", line(&text, "agent_depth_mx"));
    assert!(code == Some(2) && said(&output).contains(&place), "{}", said(&output));

    let own = "[agents.a]\nmodel = \"m\"\ntools = [\"t\"]\n\n[models.m]\ndeployments = [{ provider = \"p\", model = \"large\" }]\n\n\
               [providers.p]\nkind = \"openai\"\nbase_url = \"https://provider.invalid/v1\"\n\
               keys = [{ name = \"k\", key = \"env:NOBODY_SETS_THIS\", concurrency = 4 }]\n\n\
               [tools.t]\nurl = \"https://tool.invalid/\"\ntimeuot = \"4s\"\nfallback = [{ kind = \"fixed\", answer = 1 }]\n";
    std::fs::write(home.path().join("own.toml"), own).expect("it is written");
    let (code, output) = played(rehearse(home.path(), &["ten-times", "--config", "own.toml"])).await;
    let place = format!("own.toml:{}: tools.t.timeuot: unknown field", line(own, "timeuot"));
    assert!(code == Some(2) && said(&output).contains(&place), "{}", said(&output));
    assert!(!said(&output).contains("NOBODY_SETS_THIS"), "no secret is asked for: {}", said(&output));
}

/// The line on which something begins.
fn line(text: &str, beginning: &str) -> usize {
    text.lines().position(|line| line.starts_with(beginning)).expect("it is there") + 1
}

#[tokio::test]
async fn no_load_is_put_on_real_ends_nor_on_a_mesh_that_another_simulator_counts_unless_somebody_insists() {
    let home = home();
    std::fs::write(home.path().join("short.toml"), DAY_FOUR.replacen("quick = \"2m\"", "quick = \"10s\"", 1))
        .expect("it is written");
    let printed =
        rehearse(home.path(), &["short.toml", "--quick", "--settings", "on"]).output().await.expect("it runs");
    let settings = document(&printed)["settings"].as_str().expect("a text").to_owned();
    let outside = format!(
        "{settings}\n[models.outside]\ndeployments = [{{ provider = \"outside\", model = \"large\" }}]\n\
         [providers.outside]\nkind = \"openai\"\nbase_url = \"https://provider.invalid/v1\"\n\
         keys = [{{ name = \"any\", key = \"env:PATH\", concurrency = 2 }}]\n\
         [tools.refund]\nurl = \"https://pay.invalid/\"\nfallback = [{{ kind = \"fixed\", answer = 1 }}]\n"
    );
    let real = Mesh::builder().config(outside).start().await;
    let at = |mesh: &Mesh| [mesh.url(Peer::Gateway), mesh.url(Peer::Simulator)];
    let [address, simulator] = at(&real);
    let asked = async |address: &str, simulator: &str, more: &[&str]| {
        let mut arguments = vec!["short.toml", "--quick", "--address", address, "--simulator", simulator];
        arguments.extend(more);
        played(rehearse(home.path(), &arguments)).await
    };

    let (code, output) = asked(&address, &simulator, &[]).await;
    let told = said(&output);
    assert!(code == Some(3) && told.contains("the model outside (outside/large), the tool refund"), "{told}");
    assert!(told.contains("--settings on") && told.contains("--real-ends"), "it says what to do: {told}");
    assert_eq!(model_calls(&real).await, 0, "nothing was asked before that was known");

    let (_, output) = asked(&address, "http://127.0.0.1:1", &[]).await;
    assert!(said(&output).contains("name the one behind the mesh with --simulator URL"), "{}", said(&output));

    let (_, output) = asked(&address, &simulator, &["--real-ends"]).await;
    assert!(count(&document(&output)["on"], "succeeded") > 0, "somebody insisted: {}", said(&output));
    drop(real);

    // All of it is simulated, and another simulator knows the same key.
    let mesh = Mesh::builder().config(&settings).start().await;
    let stranger = Mesh::builder().config(&settings).only(&[Peer::Simulator]).start().await;
    let (address, elsewhere) = (mesh.url(Peer::Gateway), stranger.url(Peer::Simulator));
    let (code, output) = asked(&address, &elsewhere, &[]).await;
    let told = said(&output);
    assert!(code == Some(3) && told.contains("saw nothing of it") && told.contains("--simulator URL"), "{told}");
    assert_eq!(model_calls(&mesh).await, 1, "one question, and no load");
}

/// What the provider behind a mesh was asked so far.
async fn model_calls(mesh: &Mesh) -> u64 {
    let counts = mesh.http(Peer::Simulator, "GET", "/admin/counts", "").await;
    let counts: Value = serde_json::from_str(&counts).expect("a document");
    counts["keys"].as_object().expect("an object").values().map(|key| count(key, "requests")).sum()
}
