use std::process::Stdio;

use holdfast_config::Peer;
use holdfast_testkit::Mesh;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// The project's own Python, with the stubs; None, said on stderr, where `tests/python/prepare` has not made it.
fn python(script: &str) -> Option<Command> {
    let Some(python) = std::env::var_os("HOLDFAST_TEST_PYTHON") else {
        eprintln!("SKIPPED: HOLDFAST_TEST_PYTHON is not set (tests/run sets it)");
        return None;
    };
    let project = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let mut command = Command::new(python);
    command.arg(format!("{project}/tests/python/{script}"));
    command.env("PYTHONPATH", format!("{project}/target/python/stubs"));
    command.kill_on_drop(true);
    Some(command)
}

/// Waits until a process says so on its standard output.
async fn says(process: &mut Child, wanted: &str) {
    let output = process.stdout.take().expect("its output is piped");
    let mut lines = BufReader::new(output).lines();
    while let Some(line) = lines.next_line().await.expect("its output can be read") {
        if line == wanted {
            return;
        }
    }
    panic!("it ended without saying {wanted}");
}

#[tokio::test]
async fn a_python_caller_and_a_python_worker_do_an_invocation() {
    let (Some(mut client), Some(mut worker)) = (python("client.py"), python("worker.py")) else { return };
    let config = "[gateway]\nextra_agents = [\"shout\"]\n\
        [providers.sim]\nkind = \"openai\"\nbase_url = \"simulator:/v1\"\nkeys = [{ name = \"main\" }]\n\
        [models.m]\ndeployments = [{ provider = \"sim\", model = \"simulated-model\" }]\n\
        [simulator.keys.main]\n[[simulator.rules]]\nwhen = { user_says = \"hold fast\" }\ntext = \"hold fast\"\n";
    let services = [Peer::Gateway, Peer::Queue, Peer::State, Peer::LlmProxy, Peer::Simulator];
    let mesh = Mesh::builder().only(&services).config(config).start().await;
    let address = format!("127.0.0.1:{}", mesh.port(Peer::Gateway));

    let mut working = worker.args([&address, "shout", "1", "m"]).stdout(Stdio::piped()).spawn().unwrap();
    says(&mut working, "ready").await;
    let output = client.args([&address, "shout", "hold fast"]).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("the client prints one JSON line");

    assert_eq!(report["result"], json!({"text": "HOLD FAST"}));
    assert_eq!(report["state"], "SUCCEEDED");
    let counts = mesh.http(Peer::Simulator, "GET", "/admin/counts", "").await;
    let key = &serde_json::from_str::<Value>(&counts).unwrap()["keys"]["main"];
    assert_eq!(key["answered"], 1);
    let usage = json!([key["prompt_tokens"], key["completion_tokens"]]);
    assert_eq!(report["usage"], usage, "what the worker reported is what the provider counted");
    assert_eq!(report["states"], json!(["QUEUED", "LEASED", "SUCCEEDED"]));
    assert_eq!(report["progress"], json!(["shouting"]));
    assert_eq!(report["offsets"], json!([1, 2, 3, 4]));
    assert_eq!((&report["created"], &report["same_id"]), (&json!([true, false]), &json!(true)));
    assert_eq!(report["unknown_agent"], json!(["NOT_FOUND", true]), "a refusal arrives whole");
    assert!(working.wait().await.unwrap().success());
}
