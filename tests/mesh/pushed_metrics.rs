//! What the pages of metrics show is what a collector gets.

use std::collections::BTreeMap;
use std::time::Duration;

use holdfast_config::Peer;
use holdfast_testkit::{Collector, Mesh, ReceivedMetrics};

const DISPUTE: &str = r#"{"customer_id":"C-1001","message":"I did not make this payment"}"#;
const WITHIN: Duration = Duration::from_secs(60);

async fn demonstrate(mesh: &Mesh) {
    let output = mesh.command().args(["submit", "disputes", DISPUTE, "--wait"]).output().await.expect("it was built");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The series of a page with their values, labels by name.
fn series(page: &str) -> BTreeMap<String, f64> {
    let samples = page.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    samples.map(|line| line.rsplit_once(' ').expect("a value follows")).map(sample).collect()
}

fn sample((series, value): (&str, &str)) -> (String, f64) {
    let value = value.parse().expect("a value is a number");
    let Some((name, labels)) = series.split_once('{') else { return (series.to_owned(), value) };
    let labels = labels.strip_suffix("\"}").expect("labels end");
    let mut labels: Vec<_> = labels.split("\",").map(|label| format!("{label}\"")).collect();
    labels.sort();
    (format!("{name}{{{}}}", labels.join(",")), value)
}

/// What only rises.
fn is_count(series: &str) -> bool {
    let name = series.split('{').next().unwrap_or_default();
    ["_total", "_bucket", "_count"].iter().any(|ending| name.ends_with(ending))
}

fn pushes(all: &[ReceivedMetrics], peer: Peer) -> impl Iterator<Item = &ReceivedMetrics> {
    let service = format!("holdfast-{}", peer.name());
    all.iter().filter(move |push| push.service == service)
}

/// The next push of a service that was made from now on.
async fn next(collector: &Collector, peer: Peer) -> ReceivedMetrics {
    let known = pushes(&collector.metrics(), peer).count();
    // The one after this may have been under way already.
    let comes = collector.wait_for_metrics(WITHIN, |all| pushes(all, peer).count() > known + 1).await;
    let comes = comes.unwrap_or_else(|| panic!("{} pushes no more", peer.name()));
    pushes(&comes, peer).last().expect("it came").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_what_the_pages_show() {
    let collector = Collector::start().await;
    let builder = Mesh::builder().env("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", collector.endpoint());
    let mesh = builder.env("OTEL_METRIC_EXPORT_INTERVAL", "100").start().await;
    demonstrate(&mesh).await;
    for peer in Peer::ALL {
        let name = peer.name();
        let before = series(&mesh.metrics(peer).await);
        let pushed = next(&collector, peer).await;
        let after = series(&mesh.metrics(peer).await);
        for (series, value) in &before {
            let got = pushed.series.get(series).unwrap_or_else(|| panic!("{name}: {series} was not pushed"));
            assert!(!is_count(series) || got >= value, "{name}: {series} was {value}, and {got} was pushed");
        }
        for (series, value) in &pushed.series {
            let shown = after.get(series).unwrap_or_else(|| panic!("{name}: {series} is on no page"));
            assert!(
                !is_count(series) || shown >= value,
                "{name}: {value} of {series} was pushed, and {shown} is shown"
            );
        }
        for (metric, (unit, help)) in &pushed.described {
            assert!(!unit.is_empty() && !help.is_empty(), "{name}: {metric} has no unit or help");
        }
        for basic in ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"] {
            assert!(pushed.series.contains_key(basic), "{name} does not tell {basic}: {:?}", pushed.series);
        }
    }
    assert!(collector.spans().is_empty(), "only metrics were asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_counted_to_the_end_is_pushed_at_the_end() {
    let collector = Collector::start().await;
    let mut mesh = Mesh::builder().env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint()).start().await;
    demonstrate(&mesh).await;
    for peer in [Peer::Agent, Peer::Gateway, Peer::Queue] {
        mesh.drain(peer).await;
    }
    let all = collector.metrics();
    let last = |peer| pushes(&all, peer).last().unwrap_or_else(|| panic!("{peer:?} said nothing at its end"));
    let of = |peer, series: &str| last(peer).series.get(series).copied();
    assert_eq!(of(Peer::Queue, "holdfast_queue_accepted_total"), Some(1.0));
    assert_eq!(of(Peer::Queue, "holdfast_queue_wait_seconds_count{agent=\"disputes\"}"), Some(1.0));
    let tokens = "holdfast_agent_invocation_tokens_count{agent=\"disputes\",direction=\"input\"}";
    assert_eq!(of(Peer::Agent, tokens), Some(1.0));
    let spans = |outcome| of(Peer::Agent, &format!("holdfast_spans_total{{outcome={outcome:?}}}"));
    assert_eq!(spans("exported"), spans("ended"), "the last spans went before");
    assert_ne!(last(Peer::Queue).instance, last(Peer::Agent).instance, "processes are told apart");
}
