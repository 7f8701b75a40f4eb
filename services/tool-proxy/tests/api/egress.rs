//! What a tool's URL, the name in it, and its answers lead to. A canary stands wherever this machine can be reached: not
//! one connection may arrive there.

mod forms;
mod leads;

use holdfast_proto::tool::v1::{CallToolResponse, CircuitState, Outcome};
use serde_json::json;

use crate::harness::{Harness, content, tool};
use crate::names::Names;
use crate::tool_server::{Does, ToolServer};

/// It stands for what is allowed; the rest of this machine for what is not.
const ALLOWED: &str = "127.0.0.2";
const SETTINGS: &str = "[tool_proxy.egress]\nallow_private = [\"127.0.0.2\"]\n";

/// A server on the allowed address, and a canary at the same port of a forbidden one.
async fn neighbours() -> (ToolServer, ToolServer) {
    let canary = ToolServer::at("127.0.0.1:0").await;
    let server = ToolServer::at(&format!("{ALLOWED}:{}", canary.port())).await;
    for server in [&canary, &server] {
        server.on("/", Does::Answer(200, json!({"here": true})));
    }
    (server, canary)
}

fn refused(answer: &CallToolResponse) -> bool {
    answer.outcome() == Outcome::Unavailable && answer.degraded_reason == "ADDRESS_REFUSED"
}

#[tokio::test]
async fn a_name_that_turns_to_a_forbidden_address_is_refused_from_the_next_connection_on() {
    let (server, canary) = neighbours().await;
    let names = Names::default();
    names.tell("rebound.example", &[&[ALLOWED], &["127.0.0.1"], &[ALLOWED], &["127.0.0.1"]]);
    let url = format!("http://rebound.example:{}/", server.port());
    // An effectful tool has a new connection for each call.
    let mesh = Harness::with_names(names, |_| format!("{SETTINGS}{}", tool("rebound", &url, ""))).await;
    for _ in 0..2 {
        let answer = mesh.call("rebound", json!({})).await.expect("it answers");
        assert_eq!((answer.outcome(), content(&answer)), (Outcome::Real, json!({"here": true})));
        let answer = mesh.call("rebound", json!({})).await.expect("the fallback answers");
        assert!(refused(&answer), "{answer:?}");
    }
    assert_eq!((server.connections(), canary.connections()), (2, 0));
}

#[tokio::test]
async fn what_must_not_be_reached_counts_neither_for_a_tool_nor_against_it_and_is_not_tried_again() {
    let (server, canary) = neighbours().await;
    let names = Names::default();
    names.tell("tool.example", &[&["127.0.0.1"]]);
    let url = format!("http://tool.example:{}/", server.port());
    let more = "effect = \"read_only\"\nattempts = 3\nbreaker = { minimum_calls = 1, consecutive_failures = 1 }";
    let mesh = Harness::with_names(names, |_| format!("{SETTINGS}{}", tool("t", &url, more))).await;
    for _ in 0..5 {
        let answer = mesh.call("t", json!({})).await.expect("the fallback answers");
        assert!(refused(&answer), "{answer:?}");
        assert_eq!(answer.timing.map(|timing| timing.attempts), Some(1));
    }
    let circuit = mesh.circuit("t").await;
    assert_eq!((circuit.state(), circuit.calls, circuit.failures), (CircuitState::Closed, 0, 0));
    assert_eq!(mesh.metric(r#"holdfast_egress_refused_total{name="t",reason="loopback"}"#), 5.0);
    assert_eq!((server.connections(), canary.connections()), (0, 0));
}

#[tokio::test]
async fn what_the_operator_allows_is_reached() {
    let (_, canary) = neighbours().await;
    let names = Names::default();
    for name in ["a.internal", "b.svc.internal", "c.example", "d.example"] {
        names.tell(name, &[&["127.0.0.1"]]);
    }
    let url = |host: &str| format!("http://{host}:{}/", canary.port());
    let mesh = Harness::with_names(names, |_| {
        "[tool_proxy.egress]\nallow_hosts = [\"a.internal\", \"*.svc.internal\"]\n".to_owned()
            + &tool("host", &url("a.internal"), "")
            + &tool("under", &url("b.svc.internal"), "")
            + &tool("own", &url("c.example"), "allow_private = true")
            + &tool("none", &url("d.example"), "")
            + &tool("written", &url("127.0.0.1"), "")
    })
    .await;
    for name in ["host", "under", "own", "written"] {
        let answer = mesh.call(name, json!({})).await.expect("it answers");
        assert_eq!(answer.outcome(), Outcome::Real, "{name}: {}", answer.degraded_reason);
    }
    assert!(refused(&mesh.call("none", json!({})).await.expect("the fallback answers")));
}

#[tokio::test]
async fn the_meshs_own_simulator_may_live_beside_it() {
    let names = Names::default();
    names.tell("simulator.example", &[&["127.0.0.1"]]);
    let mesh = Harness::with_names(names, |server| {
        server.on("/tools/a", Does::Answer(200, json!({})));
        let by_name = format!("http://simulator.example:{}/tools/a", server.port());
        tool("ours", "simulator:/tools/a", "") + &tool("by_name", &by_name, "")
    })
    .await;
    let answer = mesh.call("ours", json!({})).await.expect("it answers");
    assert_eq!(answer.outcome(), Outcome::Real, "{}", answer.degraded_reason);
    assert!(refused(&mesh.call("by_name", json!({})).await.expect("the fallback answers")));
}

#[tokio::test]
async fn an_mcp_server_is_where_it_may_be_or_it_is_not_asked() {
    let (server, canary) = neighbours().await;
    let names = Names::default();
    names.tell("mcp.example", &[&["127.0.0.1"]]);
    let fallback = "fallback = [{ kind = \"unavailable\", advice = \"A\" }]";
    let config = format!("{SETTINGS}[mcp.m]\nurl = \"http://mcp.example:{}/mcp\"\n{fallback}\n", server.port());
    let _mesh = Harness::with_names(names.clone(), |_| config).await;
    // The second time, whatever came of the first has come.
    names.asked("mcp.example", 2).await;
    assert_eq!((server.connections(), canary.connections()), (0, 0));
}

/// The variables are those of a process: so this test runs itself in one of its own.
#[tokio::test]
async fn no_proxy_of_the_environment_is_used() {
    const NAME: &str = "egress::no_proxy_of_the_environment_is_used";
    if std::env::var_os("HOLDFAST_TEST_PROXIED").is_some() {
        let (server, _) = neighbours().await;
        let mesh = Harness::start(|_| format!("{SETTINGS}{}", tool("t", &server.url("/"), ""))).await;
        let answer = mesh.call("t", json!({})).await.expect("it answers");
        assert_eq!(answer.outcome(), Outcome::Real, "{}", answer.degraded_reason);
        return;
    }
    let proxy = ToolServer::at("127.0.0.1:0").await;
    let mut command = tokio::process::Command::new(std::env::current_exe().expect("this test"));
    command.args([NAME, "--exact"]).env("HOLDFAST_TEST_PROXIED", "1").env_remove("no_proxy").env_remove("NO_PROXY");
    for variable in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env(variable, proxy.url("/"));
    }
    let ended = command.output().await.expect("it runs");
    let told = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success() && told.contains("1 passed"), "{told}");
    assert_eq!(proxy.connections(), 0);
}
