//! A background duty: shows depths and ages. Ages grow without any event, so they are sampled.

use std::time::Duration;

use holdfast_rpc::service::Stop;

use crate::metrics;
use crate::queue::Queue;

/// Between two samples.
const INTERVAL: Duration = Duration::from_millis(500);
/// The label of the agent types that came when there were labels enough.
const OTHERS: &str = "(others)";

/// Runs until the queue stops.
pub async fn run(queue: Queue, stop: Stop) {
    let mut ticks = tokio::time::interval(INTERVAL);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => sample(&queue),
        }
    }
}

fn sample(queue: &Queue) {
    let depths = queue.depths(None);
    let seen = queue.seen();
    for agent in seen.iter().filter(|agent| depths.iter().all(|depth| depth.agent != **agent)) {
        metrics::depth(agent, 0, 0, Duration::ZERO);
    }
    let (mut queued, mut leased, mut oldest) = (0, 0, Duration::ZERO);
    for depth in depths {
        if seen.contains(&depth.agent) {
            metrics::depth(&depth.agent, depth.queued, depth.leased, depth.oldest);
        } else {
            queued += depth.queued;
            leased += depth.leased;
            oldest = oldest.max(depth.oldest);
        }
    }
    if seen.is_full() {
        metrics::depth(OTHERS, queued, leased, oldest);
    }
    let (bytes, rate) = queue.totals();
    metrics::totals(bytes, rate);
}
