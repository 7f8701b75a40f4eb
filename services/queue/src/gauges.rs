//! A background duty: shows depths and ages. Ages grow without any event, so they are sampled.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use holdfast_rpc::service::Stop;

use crate::metrics;
use crate::queue::Queue;

/// Between two samples.
const INTERVAL: Duration = Duration::from_millis(500);
/// Agent types that get labels of their own; the names come from callers, and every label costs memory for good.
const AGENTS_MAX: usize = 500;
/// The label of the others.
const OTHERS: &str = "(others)";

/// Runs until the queue stops.
pub async fn run(queue: Queue, stop: Stop) {
    let mut ticks = tokio::time::interval(INTERVAL);
    let mut known: HashSet<Arc<str>> = HashSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => sample(&queue, &mut known),
        }
    }
}

fn sample(queue: &Queue, known: &mut HashSet<Arc<str>>) {
    let depths = queue.depths(None);
    let mut gone = known.clone();
    let (mut queued, mut leased, mut oldest) = (0, 0, Duration::ZERO);
    for depth in depths {
        if known.contains(&depth.agent) || known.len() < AGENTS_MAX {
            known.insert(Arc::clone(&depth.agent));
            gone.remove(&depth.agent);
            metrics::depth(&depth.agent, depth.queued, depth.leased, depth.oldest);
        } else {
            queued += depth.queued;
            leased += depth.leased;
            oldest = oldest.max(depth.oldest);
        }
    }
    if known.len() >= AGENTS_MAX {
        metrics::depth(OTHERS, queued, leased, oldest);
    }
    for agent in gone {
        metrics::depth(&agent, 0, 0, Duration::ZERO);
    }
    let (bytes, rate) = queue.totals();
    metrics::totals(bytes, rate);
}
