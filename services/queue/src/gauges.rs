//! A background duty: shows depths and ages. Ages grow without any event, so they are sampled.

use std::collections::HashSet;
use std::time::Duration;

use holdfast_rpc::service::Stop;

use crate::metrics;
use crate::queue::{OTHERS, Queue};

/// Between two samples.
const INTERVAL: Duration = Duration::from_millis(500);

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
    let rates = queue.drain_rates();
    for (agent, rate) in &rates {
        metrics::drains(agent, *rate);
    }
    let named = |agent: &str| agent != OTHERS && rates.contains_key(agent);
    let busy: HashSet<&str> = depths.iter().map(|depth| &*depth.agent).collect();
    for agent in rates.keys().filter(|agent| named(agent) && !busy.contains(&***agent)) {
        metrics::depth(agent, 0, 0, Duration::ZERO);
    }
    let (mut queued, mut leased, mut oldest) = (0, 0, Duration::ZERO);
    for depth in &depths {
        if named(&depth.agent) {
            metrics::depth(&depth.agent, depth.queued, depth.leased, depth.oldest);
        } else {
            queued += depth.queued;
            leased += depth.leased;
            oldest = oldest.max(depth.oldest);
        }
    }
    if rates.contains_key(OTHERS) {
        metrics::depth(OTHERS, queued, leased, oldest);
    }
    metrics::waiting(queue.waiting_bytes());
}
