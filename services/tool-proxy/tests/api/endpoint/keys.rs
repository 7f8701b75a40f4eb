//! Who may come, and in whose name: keys of tenants, and leases of invocations.

use std::path::Path;

use holdfast_config::{Common, Data, Document, Secret};
use holdfast_rpc::service::Settings as _;
use holdfast_tool_proxy::Config;
use rmcp::model::ErrorCode;
use serde_json::{Value, json};

use super::client::{Era, Shows, answer, call, connect_with, http_client, refusal, told};
use crate::harness::{Harness, Process, launch, tool};
use crate::tool_server::{Does, ToolServer};

const CALLER: &str = "caller-key-0123456789";
const WORKER: &str = "worker-key-0123456789";
const OPERATOR: &str = "operator-key-0123456789";
const OTHER: &str = "other-key-0123456789";

/// One tool, and a key of each role; the last is another tenant's.
fn config(dir: &Path, server: &ToolServer) -> String {
    let keys = [
        (CALLER, "acme", "caller"),
        (WORKER, "acme", "worker"),
        (OPERATOR, "acme", "operator"),
        (OTHER, "umbrella", "operator"),
    ];
    let entry = |(key, tenant, role): (&str, &str, &str)| {
        let path = dir.join(key);
        std::fs::write(&path, key).expect("it is written");
        let path = path.display();
        format!("[[gateway.keys]]\nname = \"{key}\"\nkey = \"file:{path}\"\ntenant = \"{tenant}\"\nrole = \"{role}\"\n")
    };
    keys.map(entry).concat() + &tool("pay", &server.url("/pay"), "")
}

async fn mesh() -> Harness {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mesh = Harness::start(|server| config(dir.path(), server)).await;
    mesh.server.on("/pay", Does::Answer(200, json!({"paid": true})));
    mesh
}

#[tokio::test]
async fn a_stranger_is_told_to_show_a_key_and_reaches_nothing() {
    let mesh = mesh().await;
    let client = http_client();
    for authorization in [None, Some("Bearer wrong-key-0123456789"), Some(OPERATOR), Some("Basic eDp5")] {
        let request = client.post(format!("{}/mcp", mesh.url())).header("content-type", "application/json").body("{}");
        let request = authorization.into_iter().fold(request, |request, shown| request.header("authorization", shown));
        let answer = request.send().await.expect("it answers");
        assert_eq!(answer.status().as_u16(), 401, "{authorization:?}");
        assert_eq!(answer.headers()["www-authenticate"], "Bearer realm=\"holdfast\"");
        let said: Value = serde_json::from_str(&answer.text().await.expect("a body")).expect("JSON");
        assert_eq!(said["error"]["type"], "UNAUTHENTICATED");
    }
}

#[tokio::test]
async fn each_role_may_what_it_may_everywhere() {
    let mesh = mesh().await;
    let as_of = |key: &'static str| Shows { key: Some(key), lease: None };

    let caller = connect_with(&mesh.url(), Era::Current, &as_of(CALLER)).await;
    assert_eq!(caller.list_all_tools().await.expect("it may list").len(), 1);
    let refused = refusal(&caller, call("pay", json!({}), Value::Null)).await;
    assert_eq!((refused.code, &refused.data.expect("data")["reason"]), (ErrorCode(7), &json!("PERMISSION_DENIED")));

    let worker = connect_with(&mesh.url(), Era::Current, &as_of(WORKER)).await;
    let refused = refusal(&worker, call("pay", json!({}), Value::Null)).await;
    assert_eq!(refused.data.expect("data")["reason"], "LEASE_REQUIRED");
    assert!(mesh.server.hits("/pay").is_empty());

    let operator = connect_with(&mesh.url(), Era::Current, &as_of(OPERATOR)).await;
    assert_eq!(told(&answer(&operator, call("pay", json!({}), Value::Null)).await, "holdfast/outcome"), "real");
}

#[tokio::test]
async fn a_tenants_records_are_its_own() {
    let mesh = mesh().await;
    let keyed = || call("pay", json!({}), json!({"holdfast/idempotencyKey": "k"}));
    for (key, hits) in [(OPERATOR, 1), (OTHER, 2)] {
        for replayed in [false, true] {
            let client = connect_with(&mesh.url(), Era::Older, &Shows { key: Some(key), lease: None }).await;
            assert_eq!(told(&answer(&client, keyed()).await, "holdfast/replayed"), &json!(replayed), "{key}");
        }
        assert_eq!(mesh.server.hits("/pay").len(), hits);
    }
}

#[tokio::test]
async fn an_agents_own_client_runs_under_its_lease() {
    let mesh = mesh().await;
    let (old, new) = (mesh.lease("i-1", 1), mesh.lease("i-1", 2));
    let under = |lease| Shows { key: Some(WORKER), lease: Some(lease) };
    let first = connect_with(&mesh.url(), Era::Current, &under(&old)).await;

    let unplaced = refusal(&first, call("pay", json!({}), Value::Null)).await;
    assert_eq!(
        (unplaced.code, &unplaced.data.expect("data")["field"]),
        (ErrorCode::INVALID_PARAMS, &json!("_meta/holdfast/step"))
    );

    let step = |step: u32| call("pay", json!({"step": step}), json!({"holdfast/step": step, "holdfast/index": 1}));
    answer(&first, step(3)).await;
    let record = mesh.record("i-1", "3.1").await.expect("the call is recorded at its place");
    assert_eq!(record["tool"], "pay");

    let second = connect_with(&mesh.url(), Era::Current, &under(&new)).await;
    assert_eq!(told(&answer(&second, step(3)).await, "holdfast/replayed"), &json!(true), "the next attempt goes on");
    answer(&second, step(4)).await;
    let refused = refusal(&first, step(5)).await;
    assert_eq!((refused.code, &refused.data.expect("data")["reason"]), (ErrorCode(9), &json!("FENCED")));
    assert_eq!(mesh.server.hits("/pay").len(), 2, "the superseded worker starts nothing");
}

#[tokio::test]
async fn a_lease_of_another_tenant_opens_nothing() {
    let mesh = mesh().await;
    let request = http_client()
        .post(format!("{}/mcp", mesh.url()))
        .header("authorization", format!("Bearer {OTHER}"))
        .header("holdfast-lease", mesh.lease("i-1", 1))
        .header("content-type", "application/json")
        .body("{}");
    assert_eq!(request.send().await.expect("it answers").status().as_u16(), 403);
}

/// The gateway's calls name the tool-proxy as the mesh does, whatever host its clients meant.
#[tokio::test]
async fn what_the_gateway_passes_on_is_not_judged_by_the_host_that_it_names() {
    const CREDENTIAL: &str = "the-credential-of-the-mesh";
    let (dir, server) = (tempfile::tempdir().expect("a temporary directory"), ToolServer::start().await);
    let text = config(dir.path(), &server) + "[tool_proxy.mcp]\nhosts = [\"tools.test\"]\n";
    let document = Document::parse("the test", &text, []).expect("it is TOML");
    let config = Config::from_document(&document).expect("it holds");
    let mut common = Common { data: Data { dir: dir.path().into() }, ..Common::default() };
    common.mesh.credential = Some(Secret::in_memory(CREDENTIAL));
    let state = Process::start("state", common.clone(), |common, host| {
        holdfast_state::serve(common, holdfast_state::Config::default(), host)
    })
    .await;
    common.mesh.state = format!("http://{}", state.address).into();
    let proxy = launch(&common, &config, None).await;

    let status = async |shown: &str, host: &str, origin: Option<&str>| {
        let request = http_client()
            .post(format!("http://{}/mcp", proxy.address))
            .header("host", host)
            .header("authorization", format!("Bearer {shown}"))
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("holdfast-tenant", "acme")
            .header("holdfast-role", "caller")
            .body(json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).to_string());
        let request = origin.into_iter().fold(request, |request, origin| request.header("origin", origin));
        request.send().await.expect("it answers").status().as_u16()
    };
    assert_eq!(status(CREDENTIAL, "tool-proxy.internal:7073", None).await, 200);
    assert_eq!(status(CREDENTIAL, "tool-proxy.internal:7073", Some("https://evil.test")).await, 403);
    assert_eq!(status(CALLER, "tool-proxy.internal:7073", None).await, 403, "a client of its own means a host");
    assert_eq!(status(CALLER, "tools.test", None).await, 200);
}
