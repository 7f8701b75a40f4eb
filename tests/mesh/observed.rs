//! What an operator sees of the demonstration: pages of metrics, and logs that can be put together by their ids.

use holdfast_config::Peer;
use holdfast_testkit::Mesh;
use serde_json::Value;
use tokio::time::{Duration, Instant, interval};

const DISPUTE: &str = r#"{"customer_id":"C-1001","message":"I did not make this payment"}"#;

/// Runs the demonstration once; the invocation's id.
async fn demonstrate(mesh: &Mesh) -> String {
    let output =
        mesh.command().args(["--json", "submit", "disputes", DISPUTE, "--wait"]).output().await.expect("it was built");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let invocation: Value = serde_json::from_slice(&output.stdout).expect("--json prints one JSON document");
    invocation["id"].as_str().expect("it has an id").to_owned()
}

/// The value of the line that begins so; none where there is no such line.
fn value(page: &str, begins: &str) -> Option<f64> {
    page.lines().find(|line| line.starts_with(begins))?.rsplit(' ').next()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_of_an_invocation_is_on_the_pages_once_it_has_ended() {
    let mesh = Mesh::builder().start().await;
    demonstrate(&mesh).await;
    let wanted = [
        (Peer::Queue, "holdfast_queue_depth{agent=\"disputes\"}"),
        (Peer::Queue, "holdfast_queue_oldest_age_seconds{agent=\"disputes\"}"),
        (Peer::Queue, "holdfast_queue_wait_seconds_count{agent=\"disputes\"}"),
        (Peer::Queue, "holdfast_queue_drain_rate{agent=\"disputes\"}"),
        (Peer::Queue, "holdfast_circuit_state{circuit="),
        (Peer::LlmProxy, "holdfast_circuit_state{circuit=\"simulated/simulated-model\"}"),
        (Peer::LlmProxy, "holdfast_llm_wait_seconds_count{model=\"default\"}"),
        (Peer::State, "holdfast_state_read_seconds_count{"),
        (Peer::State, "holdfast_state_write_seconds_count{"),
        (Peer::ToolProxy, "holdfast_circuit_state{circuit=\"lookup_customer\"}"),
        (Peer::ToolProxy, "holdfast_circuit_state{circuit=\"lookup_payment\"}"),
        (Peer::ToolProxy, "holdfast_circuit_state{circuit=\"record_decision\"}"),
    ];
    for (peer, line) in wanted {
        let page = mesh.metrics(peer).await;
        assert!(value(&page, line).is_some(), "{} shows {line}: {page}", peer.name());
    }
    let queue = mesh.metrics(Peer::Queue).await;
    assert_eq!(value(&queue, "holdfast_queue_accepted_total"), Some(1.0), "{queue}");
    let model = mesh.metrics(Peer::LlmProxy).await;
    let of_key = "{provider=\"simulated\",key=\"simulated\",model=\"\",limit=\"requests\"}";
    let (limit, free) = (format!("holdfast_llm_limit{of_key}"), format!("holdfast_llm_limit_available{of_key}"));
    assert_eq!(value(&model, &limit), Some(6_000.0), "{model}");
    assert!(value(&model, &free).is_some_and(|free| free <= 6_000.0), "{model}");
    let agent = mesh.metrics(Peer::Agent).await;
    for direction in ["input", "output"] {
        for (page, of) in [(&agent, "agent"), (&queue, "queue")] {
            let labels = format!("{{agent=\"disputes\",direction=\"{direction}\"}}");
            let tokens = format!("holdfast_{of}_invocation_tokens_sum{labels}");
            assert!(value(page, &tokens).is_some_and(|tokens| tokens > 0.0), "{tokens}: {page}");
        }
    }
    for peer in Peer::ALL {
        let page = mesh.metrics(peer).await;
        for basic in
            ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_threads"]
        {
            assert!(value(&page, basic).is_some(), "{} shows {basic}: {page}", peer.name());
        }
    }
    for peer in [Peer::Gateway, Peer::State, Peer::ToolProxy, Peer::LlmProxy] {
        let page = mesh.metrics(peer).await;
        assert!(value(&page, "holdfast_requests_total{").is_some(), "{} counts requests: {page}", peer.name());
        assert!(value(&page, "holdfast_request_seconds_count{").is_some(), "{} measures them: {page}", peer.name());
    }
}

/// The lines of a service's log that name an invocation, as JSON.
fn lines(mesh: &mut Mesh, peer: Peer, invocation: &str) -> Vec<Value> {
    let log = mesh.process(peer).log();
    let about = log.lines().filter(|line| line.contains(invocation));
    about.map(|line| serde_json::from_str(line).expect("a log line is JSON")).collect()
}

/// A field of a line or of one of the spans around it.
fn field<'a>(line: &'a Value, name: &str) -> Option<&'a str> {
    let spans = line["spans"].as_array().into_iter().flatten();
    spans.chain([line]).find_map(|place| place[name].as_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn log_lines_name_their_invocation_and_their_trace() {
    let mut mesh = Mesh::builder().start().await;
    mesh.http(Peer::Simulator, "PUT", "/admin/tools/lookup_payment/faults", r#"{"error_rate":1.0}"#).await;
    let invocation = demonstrate(&mesh).await;
    let mut traces = Vec::new();
    for peer in [Peer::Agent, Peer::ToolProxy] {
        let until = Instant::now() + Duration::from_secs(60);
        let mut ticks = interval(Duration::from_millis(10));
        // The agent's last line comes after its last report.
        while lines(&mut mesh, peer, &invocation).is_empty() {
            assert!(Instant::now() < until, "{} says nothing of it: {}", peer.name(), mesh.process(peer).log());
            ticks.tick().await;
        }
        for line in lines(&mut mesh, peer, &invocation) {
            assert_eq!(field(&line, "invocation_id"), Some(&*invocation), "{line}");
            traces.push(field(&line, "trace_id").unwrap_or_else(|| panic!("no trace in {line}")).to_owned());
        }
    }
    traces.dedup();
    assert_eq!(traces.len(), 1, "one invocation, one trace, without an exporter too: {traces:?}");
}
