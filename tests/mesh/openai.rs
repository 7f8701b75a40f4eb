//! The official clients of OpenAI's API, as they are, at the mesh as it runs: by the llm-proxy's own door and through the
//! gateway. Where `tests/run` could not install them, these tests are skipped.

use std::time::Duration;

use holdfast_config::Peer;
use holdfast_testkit::Mesh;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::{interval, timeout};

const WORKER: &str = "worker-key-0123456789";
const CALLER: &str = "caller-key-0123456789";

const WITHIN: Duration = Duration::from_secs(15);

/// Two protocols behind one, a limit that is soon used up, a provider that breaks off, one that is slow, and one that is gone.
const CONFIG: &str = r#"
[[gateway.keys]]
name = "agents"
key = "file:worker.key"
tenant = "acme"
role = "worker"

[[gateway.keys]]
name = "shop"
key = "file:caller.key"
tenant = "acme"
role = "caller"

[providers.plain]
kind = "openai"
base_url = "simulator:/v1"
keys = [{ name = "plain", concurrency = 20 }]

[providers.claude]
kind = "anthropic"
base_url = "simulator:/v1"
keys = [{ name = "claude", concurrency = 20 }]

[providers.schema]
kind = "openai"
base_url = "simulator:/v1"
keys = [{ name = "schema" }]

[providers.limited]
kind = "openai"
base_url = "simulator:/v1"
window = "2s"
keys = [{ name = "limited", requests_per_minute = 1 }]

[providers.broken]
kind = "openai"
base_url = "simulator:/v1"
keys = [{ name = "broken" }]

[providers.slow]
kind = "openai"
base_url = "simulator:/v1"
keys = [{ name = "slow" }]

[providers.gone]
kind = "openai"
base_url = "http://127.0.0.1:1/v1"
keys = [{ name = "gone" }]

[models]
default = { deployments = [{ provider = "plain", model = "simulated-model" }] }
claude = { deployments = [{ provider = "claude", model = "simulated-model" }], max_output_tokens = 1000 }
schema = { deployments = [{ provider = "schema", model = "simulated-model" }] }
limited = { deployments = [{ provider = "limited", model = "simulated-model" }] }
broken = { deployments = [{ provider = "broken", model = "simulated-model" }] }
slow = { deployments = [{ provider = "slow", model = "simulated-model" }] }
gone = { deployments = [{ provider = "gone", model = "x" }] }

[simulator.keys]
plain = {}
claude = {}
schema = {}
limited = { requests_per_minute = 1, window = "2s" }
broken = {}
slow = {}

[simulator.scripts.desk]
steps = [{ text = "I look.", calls = [{ tool = "look", arguments = { q = "x" } }] }, { text = "It is X." }]

[simulator.scripts.person]
steps = [{ text = '{"name":"Ada","age":36}' }]
"#;

async fn mesh() -> Mesh {
    let mesh = Mesh::builder().only(&[Peer::Gateway, Peer::LlmProxy, Peer::Simulator]);
    let mesh = mesh.config(CONFIG).file("worker.key", WORKER).file("caller.key", CALLER).start().await;
    for (key, faults) in
        [("broken", json!({"disconnect_rate": 1.0, "disconnect_after": 4})), ("slow", json!({"per_token": "20ms"}))]
    {
        let path = format!("/admin/keys/{key}/faults");
        mesh.http(Peer::Simulator, "PUT", &path, &faults.to_string()).await;
    }
    mesh
}

/// What the provider counted for a key.
async fn counts(mesh: &Mesh, key: &str) -> Value {
    let counts = mesh.http(Peer::Simulator, "GET", "/admin/counts", "").await;
    serde_json::from_str::<Value>(&counts).expect("JSON")["keys"][key].clone()
}

/// Runs a client at each door and looks at what it saw, and at what the provider did.
async fn check(mut client: impl FnMut() -> Command) {
    let mesh = mesh().await;
    for (number, door) in [Peer::LlmProxy, Peer::Gateway].into_iter().enumerate() {
        let url = format!("http://{}/v1", mesh.address(door));
        let output = client().args([&url, WORKER, CALLER]).kill_on_drop(true).output().await.expect("it runs");
        assert!(output.status.success(), "{}: {}", door.name(), String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).expect("the client prints one JSON line");
        look_at(&report);

        let last = mesh.http(Peer::Simulator, "GET", "/admin/keys/schema/last", "").await;
        let format = &serde_json::from_str::<Value>(&last).expect("JSON")["response_format"];
        assert_eq!((&format["type"], &format["json_schema"]["name"]), (&json!("json_schema"), &json!("Person")));
        assert_eq!(counts(&mesh, "limited").await["refused"], 0, "no 429 is the provider's");
        let given_up = async {
            let mut looks = interval(Duration::from_millis(10));
            while counts(&mesh, "slow").await["broken_off"] != json!(number + 1) {
                looks.tick().await;
            }
        };
        timeout(WITHIN, given_up).await.expect("the provider is told that its answer is not wanted");
    }
}

fn look_at(report: &Value) {
    let models = ["broken", "claude", "default", "gone", "limited", "schema", "slow"];
    assert_eq!((&report["models"], &report["one"]), (&json!(models), &json!("default")), "{report}");
    for (model, deployment) in [("default", "plain/simulated-model"), ("claude", "claude/simulated-model")] {
        let round = json!(["tool_calls", "look", "X", "stop", "It is X."]);
        let expected = json!({
            "deployment": deployment, "named": 32, "same": true, "pieces": true, "usage": true, "tools": [round, round],
        });
        assert_eq!(report["answers"][model], expected, "{model}");
    }
    assert_eq!(report["schema"], json!(["Ada", 36]));
    let refused = json!({
        "key": ["AuthenticationError", 401, "invalid_api_key", null, false],
        "role": ["PermissionDeniedError", 403, "permission_denied", null, false],
        "model": ["NotFoundError", 404, "model_not_found", null, false],
        "field": ["BadRequestError", 400, null, "messages", false],
        "gone": ["InternalServerError", 503, "unavailable", null, true],
        "limit": ["RateLimitError", 429, "rate_limit_exceeded", null, true],
    });
    assert_eq!(report["refused"], refused);
    assert_eq!(report["retries"], 1, "it was told when to come back, and came once");
    assert_eq!(report["broken"], json!(["APIError", "unavailable", true]));
    assert_eq!(report["given_up"], "chat.completion.chunk");
}

/// The Python client, with packages from this folder before the environment's own.
async fn check_python(packages: Option<&str>) {
    let Some(python) = std::env::var_os("HOLDFAST_TEST_PYTHON") else {
        eprintln!("SKIPPED: HOLDFAST_TEST_PYTHON is not set (tests/run sets it)");
        return;
    };
    check(|| {
        let mut command = Command::new(&python);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/python/openai_client.py"));
        command.envs(packages.map(|packages| ("PYTHONPATH", packages)));
        command
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_python_client_is_served_at_both_doors() {
    check_python(None).await;
}

/// The line that most programs still have.
#[tokio::test(flavor = "multi_thread")]
async fn the_older_python_client_is_served_at_both_doors() {
    check_python(Some(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/python/older"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_node_client_is_served_at_both_doors() {
    if std::env::var_os("HOLDFAST_TEST_NODE").is_none() {
        eprintln!("SKIPPED: HOLDFAST_TEST_NODE is not set (tests/run sets it)");
        return;
    }
    check(|| {
        let mut command = Command::new("node");
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/node/openai_client.mjs"));
        command
    })
    .await;
}
