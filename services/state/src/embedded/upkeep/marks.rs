//! Clears the dirty marks of shards that have had no CACHED write for a while, and shows what is dirty.

use tokio::time::Instant;
use tracing::debug;

use crate::embedded::Embedded;

pub(super) async fn clean_idle(embedded: &Embedded, idle_since: Option<Instant>) {
    let Some(idle_since) = idle_since else { return };
    let marks: Vec<_> = embedded.decks().shards.iter().filter_map(|shard| shard.clean(idle_since)).collect();
    for cleaned in marks {
        // A mark that stays is cleaned another time.
        let cleaned = matches!(cleaned.await, Ok(Ok(())));
        debug!(cleaned, "a shard is idle");
    }
}

pub(super) fn gauge(embedded: &Embedded) {
    let (decks, metrics) = (embedded.decks(), embedded.metrics());
    let dirty = decks.shared.window.dirty();
    metrics.dirty_writes.set(dirty.writes as f64);
    metrics.dirty_bytes.set(dirty.bytes as f64);
    let oldest = decks.shards.iter().filter_map(|shard| shard.oldest()).min();
    metrics.unstored_age.set(oldest.map_or(0.0, |decided| decided.elapsed().as_secs_f64()));
    let cached: usize = decks.shards.iter().map(|shard| shard.cache_bytes()).sum();
    metrics.cache_bytes.set(cached as f64);
}
