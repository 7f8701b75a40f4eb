//! What this decider goes by.

use std::time::Duration;

use crate::{config::Config, domain::SHARDS, store::Bound};

/// The settings.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How long the knowledge of who decides is believed.
    pub lease: Duration,
    /// What a change of epochs waits beyond that: clocks run at slightly different speeds.
    pub margin: Duration,
    /// How often the knowledge is renewed.
    pub renew: Duration,
    /// How long a place may be away until the store decides.
    pub gone_after: Duration,
    /// How long CACHED writes wait at most until they are on their way to the store.
    pub flush_within: Duration,
    /// The window on each shard's CACHED writes that are not stored.
    pub window: Bound,
    /// How old the oldest of them may be.
    pub window_age: Duration,
    /// Bytes of each shard that may not be stored; past it, writes wait.
    pub unstored_bytes: u64,
    /// After so long without a write, a shard is marked clean.
    pub idle: Duration,
    /// Flushes that are under way at once.
    pub lanes: usize,
    /// Calls that write at once, decided or waiting; past it, they are refused.
    pub writes_max: usize,
    /// Their bytes.
    pub writes_bytes_max: usize,
}

impl Settings {
    /// By the configuration; `gone_after` is that of the place.
    pub fn new(config: &Config, lease: Duration, gone_after: Duration, lanes: usize) -> Self {
        let window = config.window();
        let share = |all: u64| (all / SHARDS as u64).max(1);
        Self {
            lease,
            margin: lease / 20,
            renew: (lease / 10).min(Duration::from_secs(1)),
            gone_after,
            flush_within: window.cached_age / 2,
            window_age: window.cached_age,
            unstored_bytes: share(window.waiting.bytes),
            window: Bound { writes: share(window.cached.writes), bytes: share(window.cached.bytes) },
            idle: config.idle(),
            lanes,
            writes_max: usize::try_from(window.waiting.writes).unwrap_or(usize::MAX),
            writes_bytes_max: usize::try_from(window.waiting.bytes).unwrap_or(usize::MAX),
        }
    }
}
