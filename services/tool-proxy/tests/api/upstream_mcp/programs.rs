//! Servers that the proxy starts: what they are given, and how they and their calls end.

use std::time::Duration;

use holdfast_proto::tool::v1::Outcome;
use holdfast_proto::tool::v1::tool_service_client::ToolServiceClient;
use holdfast_rpc::{Channel, status};
use holdfast_testkit::{Process, Signal};
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::program::{number, runs, section, until_ended};
use super::until_listed;
use crate::harness::{Harness, content, request, tool};
use crate::tool_server::Does;

#[tokio::test]
async fn a_server_is_started_and_its_tools_are_called() {
    let mesh = Harness::start(|_| section("near", &[], "")).await;
    let answer = mesh.call("near_shout", json!({"a": 1})).await.expect("it answers");
    assert_eq!((answer.outcome(), content(&answer)), (Outcome::Real, json!({"value": {"a": 1}})));
}

#[tokio::test]
async fn a_server_sees_nothing_of_our_environment_but_what_it_is_given() {
    let more = "env = { GIVEN = \"plain\" }\nsecret_env = { TOKEN = \"env:CARGO_PKG_NAME\" }";
    let mesh = Harness::start(|_| section("near", &[], more)).await;
    let answer = content(&mesh.call("near_env", json!({})).await.expect("it answers"));
    let env = answer["value"].as_object().expect("an object");
    assert_eq!((env["GIVEN"].as_str(), env["TOKEN"].as_str()), (Some("plain"), Some("holdfast-tool-proxy")));
    // What a shell in between may set by itself is not ours.
    let known = ["PATH", "HOME", "USER", "LANG", "TMPDIR", "PWD", "SHLVL", "_"];
    let ours = |name: &str, value: &str| std::env::var(name).is_ok_and(|ours| ours == value);
    let passed = env.iter().filter(|(name, value)| ours(name, value.as_str().unwrap_or_default()));
    let foreign: Vec<_> =
        passed.filter(|(name, _)| !known.contains(&name.as_str()) && !name.starts_with("PYENV")).collect();
    assert!(std::env::var("CARGO_MANIFEST_DIR").is_ok() && !env.contains_key("CARGO_MANIFEST_DIR"));
    assert!(foreign.is_empty(), "it sees {foreign:?}");
}

#[tokio::test]
async fn a_server_that_dies_under_a_call_breaks_it_and_is_started_again() {
    let more =
        "breaker.minimum_calls = 10000\n[mcp.near.tools.hang]\neffect = \"read_only\"\nattempts = 1\ntimeout = \"60s\"";
    let mesh = Harness::start(|_| section("near", &[], more)).await;
    let first = number(&mesh, "near_pid").await;
    // It holds the server's output open: the end of that is not what its death is seen by.
    let child = number(&mesh, "near_spawn").await;

    let (answer, ()) = tokio::join!(mesh.call("near_hang", json!({})), async {
        // The program answers in order of arrival: the call before has arrived.
        number(&mesh, "near_pid").await;
        Signal::Kill.send(first).await;
    });
    let answer = answer.expect("the fallback answers");
    assert_eq!((answer.outcome(), answer.degraded_reason.as_str()), (Outcome::Unavailable, "BROKEN"));

    until_back(&mesh).await;
    until_ended(child).await;
    // It has its effect, if any, before it dies: nobody knows.
    let answer = mesh.call("near_die", json!({})).await.expect("it is told");
    assert_eq!((answer.outcome(), answer.degraded_reason.as_str()), (Outcome::Unknown, "BROKEN"));

    assert_ne!(until_back(&mesh).await, first);
}

#[tokio::test]
async fn a_worker_that_is_superseded_while_its_server_is_started_again_does_not_get_through() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (hold, seen) = (dir.path().join("hold"), dir.path().join("hold.seen"));
    let arguments = ["held", hold.to_str().expect("plain ASCII")];
    let more = "timeout = \"60s\"\nconcurrency = 1";
    let mesh = Harness::start(|elsewhere| {
        let other = tool("other", &elsewhere.url("/other"), "effect = \"read_only\"");
        section("near", &arguments, more).replace("\"5s\"", "\"60s\"") + &other
    })
    .await;
    mesh.server.on("/other", Does::Answer(200, json!({})));
    let first = number(&mesh, "near_pid").await;
    let (old, new) = (mesh.lease("inv", 10), mesh.lease("inv", 11));
    std::fs::write(&hold, "").expect("it is written");
    Signal::Kill.send(first).await;
    let held = async {
        while !seen.exists() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(20), held).await.expect("it is started again");

    let (refused, ()) = tokio::join!(mesh.step(&old, 1, "near_pid", json!({})), async {
        while mesh.metric("holdfast_tool_running{tool=\"near_pid\"}") != 1.0 {
            tokio::task::yield_now().await;
        }
        mesh.step(&new, 2, "other", json!({})).await.expect("its successor works elsewhere");
        std::fs::remove_file(&hold).expect("it is there");
    });
    assert_eq!(status::reason(&refused.expect_err("it is superseded")).as_deref(), Some("FENCED"));
    assert!(mesh.record("inv", "1.0").await.is_none());
}

#[tokio::test]
async fn a_server_that_does_not_move_any_more_is_started_again() {
    let more = "refresh = \"1s\"\ntimeout = \"500ms\"\nbreaker.minimum_calls = 10000";
    let mesh = Harness::start(|_| section("near", &[], more).replace("\"5s\"", "\"500ms\"")).await;
    let first = until_back(&mesh).await;
    Signal::Stop.send(first).await;
    let answer = mesh.call("near_pid", json!({})).await.expect("it is told");
    assert_eq!((answer.outcome(), answer.degraded_reason.as_str()), (Outcome::Unknown, "TIMEOUT"));
    until_ended(first).await;
    assert_ne!(until_back(&mesh).await, first);
}

#[tokio::test]
async fn a_caller_who_goes_away_is_told_to_the_server() {
    let mesh = Harness::start(|_| section("near", &[], "timeout = \"60s\"")).await;
    number(&mesh, "near_pid").await;
    tokio::select! {
        answer = mesh.call("near_hang", json!({})) => panic!("it answered: {answer:?}"),
        _ = number(&mesh, "near_pid") => {}
    }
    let told = async {
        while content(&mesh.call("near_cancelled", json!({})).await.expect("it answers"))["value"] == json!([]) {}
    };
    timeout(Duration::from_secs(10), told).await.expect("it is told");
}

#[tokio::test]
async fn a_command_that_does_not_exist_hinders_nobody() {
    let text = "[mcp.no]\ncommand = [\"/no/such/program\"]\nfallback = [{ kind = \"fixed\", answer = 1 }]\n";
    let mesh = Harness::start(|_| format!("{text}{}", section("near", &[], ""))).await;
    number(&mesh, "near_pid").await;
    assert_eq!(mesh.call("no_tool", json!({})).await.expect_err("nobody knows it").code(), tonic::Code::Unavailable);
}

#[tokio::test]
async fn a_drain_ends_a_server_with_all_that_it_has_started() {
    for arguments in [&[][..], &["deaf"]] {
        let mut mesh = Harness::start(|_| section("near", arguments, "")).await;
        let (server, child) = (number(&mesh, "near_pid").await, number(&mesh, "near_spawn").await);
        assert!(runs(server) && runs(child));
        mesh.drain().await;
        assert!(!runs(server), "{arguments:?}");
        until_ended(child).await;
    }
}

#[tokio::test]
async fn a_proxy_that_is_killed_leaves_no_server_behind() {
    let mut mesh = Harness::start(|_| section("near", &["deaf"], "")).await;
    let (server, child) = (number(&mesh, "near_pid").await, number(&mesh, "near_spawn").await);
    mesh.crash().await;
    until_ended(server).await;
    until_ended(child).await;
    until_listed(&mesh, |names| names.contains(&"near_pid".to_owned())).await;
    assert_ne!(number(&mesh, "near_pid").await, server, "the next proxy has started its own");
}

/// As above, but with nothing of the proxy's own at work in the end: the process itself is killed.
#[tokio::test]
async fn a_proxy_killed_by_the_system_leaves_no_server_behind() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let port = holdfast_testkit::free_ports(1);
    let config = dir.path().join("holdfast.toml");
    let own = format!("[tool_proxy]\naddress = \"127.0.0.1:{port}\"\n[data]\ndir = {:?}\n", dir.path());
    std::fs::write(&config, own + &section("near", &["deaf"], "")).expect("it is written");
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_holdfast-tool-proxy"));
    command.arg("--config").arg(&config).current_dir(dir.path());
    let mut proxy = Process::start("tool-proxy", command, dir.path());
    let url = format!("http://127.0.0.1:{port}");
    let tools = ToolServiceClient::new(Channel::connect("tool-proxy", &url, None, None).expect("a URL"));
    let ask = async |tool: &str| {
        let answer = tools.clone().call_tool(request(tool, &json!({}))).await.ok()?.into_inner();
        u32::try_from(content(&answer)["value"].as_u64()?).ok()
    };
    let started = async {
        loop {
            match (ask("near_pid").await, ask("near_spawn").await) {
                (Some(server), Some(child)) => return (server, child),
                _ => sleep(Duration::from_millis(50)).await,
            }
        }
    };
    let (server, child) = timeout(Duration::from_secs(30), started).await.expect("it starts");

    proxy.kill().await;

    until_ended(server).await;
    until_ended(child).await;
}

/// Waits until the server answers, and returns its process.
async fn until_back(mesh: &Harness) -> u32 {
    let back = async {
        loop {
            let answer = mesh.call("near_pid", json!({})).await.expect("it stays known");
            if answer.outcome() == Outcome::Real {
                return u32::try_from(content(&answer)["value"].as_u64().expect("a number")).expect("a process id");
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(20), back).await.expect("it is started again")
}
