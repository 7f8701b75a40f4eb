use std::time::Duration;

use holdfast_proto::queue::v1::{CancelInvocationRequest, CompleteRequest, InvocationSpec, Usage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Harness, PATIENCE, spec};

async fn scrape(queue: &Harness) -> String {
    let mut socket = TcpStream::connect(queue.address()).await.unwrap();
    socket.write_all(b"GET /metrics HTTP/1.1\r\nhost: queue\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn depths_and_commits_are_shown() {
    let _telemetry = holdfast_telemetry::init("queue", &Default::default(), None).unwrap();
    let queue = Harness::start().await;
    // Two of five make nothing new: they repeat the first under its key.
    for key in ["a", "a", "a", "b", "c"] {
        queue.enqueue(InvocationSpec { idempotency_key: key.into(), ..spec() }).await;
    }
    // Work that is over before the next sample leaves its agent type on the page.
    let fleeting = InvocationSpec { agent: "fleeting".into(), ..spec() };
    let id = queue.enqueue(fleeting).await;
    assert!(scrape(&queue).await.contains("holdfast_queue_depth{agent=\"fleeting\"} 1"), "it is there at once");
    queue
        .client()
        .cancel_invocation(CancelInvocationRequest { invocation_id: id, reason: String::new() })
        .await
        .unwrap();
    let lease = queue.lease_one().await;
    let usage = Some(Usage { input_tokens: 70, output_tokens: 7 });
    let complete = CompleteRequest { token: lease.token, result: None, usage };
    queue.client().complete(complete).await.expect("it holds the lease");
    let wanted = [
        "holdfast_queue_depth{agent=\"mail\"} 2",
        "holdfast_queue_oldest_age_seconds{agent=\"mail\"}",
        "holdfast_queue_commit_size",
        "holdfast_queue_commit_seconds",
        "holdfast_queue_accepted_total 4",
        "holdfast_queue_depth{agent=\"fleeting\"} 0",
        "holdfast_queue_wait_seconds_count{agent=\"mail\"} 1",
        "holdfast_queue_invocation_tokens_sum{agent=\"mail\",direction=\"input\"} 70",
        "holdfast_queue_drain_rate{agent=\"mail\"}",
    ];
    let rate = |text: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix("holdfast_queue_drain_rate{agent=\"mail\"} "));
        line.is_some_and(|rate| rate.parse::<f64>().is_ok_and(|rate| rate > 0.0))
    };
    let shown = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        loop {
            ticks.tick().await;
            let text = scrape(&queue).await;
            if wanted.iter().all(|line| text.contains(line)) && rate(&text) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, shown).await.expect("every metric is shown");
}
