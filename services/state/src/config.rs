//! The `[state]` section.

use std::{collections::BTreeMap, time::Duration};

use holdfast_config::{ConfigError, Document, Invalid, Size, Span};
use holdfast_rpc::service::Settings;
use serde::Deserialize;

use crate::{domain::SHARDS, embedded::window::WindowLimits, store::Bound, write::Durability};

/// What a batch may hold beside its values: names, versions, the message around them.
const BATCH_WRITES_MAX: usize = 100;

/// The shortest time to live: the clocks of processes differ by less.
pub const TTL_MIN: Duration = Duration::from_secs(1);
/// The longest: what lives longer lives for ever.
pub const TTL_MAX: Duration = Duration::from_secs(10 * 366 * 24 * 3_600);

/// A connection for each of them, at each process: more do not make a database faster.
const LANES_MAX: usize = 16;

/// A rehearsed disk is slow, not gone.
const COMMIT_DELAY_MAX: Duration = Duration::from_secs(60);

/// How long the knowledge of who decides may be believed.
const DECIDER_LEASE: std::ops::RangeInclusive<Duration> = Duration::from_secs(2)..=Duration::from_secs(20);

/// The settings of the state service.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where it listens.
    pub address: String,
    /// The largest content of a record.
    pub value_max: Size,
    /// The largest message: bounds what a batch holds together.
    pub message_max: Size,
    /// Records in memory, all shards together.
    pub cache: Size,
    /// Records in memory for reads that allow staleness.
    pub stale_cache: Size,
    /// Without a PostgreSQL: what each commit to the store takes longer than it does. For rehearsals: a slow disk.
    pub commit_delay: Span,
    /// With a PostgreSQL: connections that write, shards shared out among them.
    pub lanes: usize,
    /// With a Redis: how long a process believes what it has read of who decides.
    pub decider_lease: Span,
    /// Scopes of fences in memory.
    pub fences_cached: usize,
    /// Streams of changes at a time.
    pub watches_max: usize,
    /// What CACHED writes may lose in a crash.
    pub cached: Cached,
    /// What may wait for the store before writes are refused.
    pub waiting: Waiting,
    /// What is kept, and for how long.
    pub keep: Keep,
    /// Settings by namespace.
    pub namespaces: BTreeMap<String, Namespace>,
}

/// `[state.cached]`: past any of these, CACHED writes wait for the store.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cached {
    /// Acknowledged writes that are not stored.
    pub writes_max: u64,
    /// Their bytes.
    pub bytes_max: Size,
    /// The age of the oldest.
    pub age_max: Span,
    /// After so long without one, a shard counts as clean again: a crash then ends no epoch.
    pub idle: Span,
}

/// `[state.waiting]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Waiting {
    /// Writes.
    pub writes_max: u64,
    /// Their bytes.
    pub bytes_max: Size,
}

/// `[state.keep]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Keep {
    /// Editions of each record in the history, the current one included.
    pub editions: u64,
    /// How long the history goes back.
    pub history: Span,
    /// How long a deleted record is remembered by itself.
    pub tombstones: Span,
    /// How long fences are remembered; older tokens are refused.
    pub fences: Span,
    /// How long versions of an epoch that ended with loss are told apart from stale ones.
    pub lost_epochs: Span,
}

/// `[state.namespaces."NAME"]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Namespace {
    /// How safe writes are that do not say it themselves.
    pub durability: Option<Durability>,
    /// How long records live that do not say it themselves; for ever where it is absent.
    pub ttl: Option<Span>,
    /// Only operators write to it.
    pub read_only: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:7072".into(),
            value_max: Size::from_mib(1),
            message_max: Size::from_mib(16),
            cache: Size::from_mib(256),
            stale_cache: Size::from_mib(32),
            commit_delay: Span::from_secs(0),
            lanes: 2,
            decider_lease: Span::from_secs(10),
            fences_cached: 100_000,
            watches_max: 2_048,
            cached: Cached::default(),
            waiting: Waiting::default(),
            keep: Keep::default(),
            namespaces: BTreeMap::new(),
        }
    }
}

impl Default for Cached {
    fn default() -> Self {
        Self {
            writes_max: 10_000,
            bytes_max: Size::from_mib(16),
            age_max: Span::from_secs(1),
            idle: Span::from_secs(10),
        }
    }
}

impl Default for Waiting {
    fn default() -> Self {
        Self { writes_max: 65_536, bytes_max: Size::from_mib(128) }
    }
}

impl Default for Keep {
    fn default() -> Self {
        let week = Span::from_secs(7 * 24 * 3_600);
        Self { editions: 1_000, history: week, tombstones: week, fences: week, lost_epochs: week }
    }
}

impl Config {
    /// Checks the settings against each other.
    ///
    /// # Errors
    /// The first that does not hold.
    pub fn validate(&self) -> Result<(), Invalid> {
        let invalid = |key: &str, why: String| Err(Invalid::new(format!("state.{key}"), why));
        if self.value_max.bytes() == 0 {
            return invalid("value_max", "must be at least a byte".into());
        }
        if self.message_max.bytes() < self.value_max.bytes() + (64 << 10) {
            return invalid("message_max", format!("must be 64 KiB larger than value_max ({})", self.value_max));
        }
        if self.waiting.bytes_max.bytes() < self.message_max.bytes() + BATCH_WRITES_MAX * 4_096 {
            return invalid("waiting.bytes_max", format!("must hold a whole message ({}) and more", self.message_max));
        }
        if self.waiting.writes_max == 0 {
            return invalid("waiting.writes_max", "must be at least 1".into());
        }
        if !DECIDER_LEASE.contains(&*self.decider_lease) {
            let why = "must be from 2s to 20s: a change of who decides waits that long, and floors settle longer";
            return invalid("decider_lease", why.into());
        }
        if !(1..=LANES_MAX).contains(&self.lanes) {
            return invalid("lanes", format!("must be from 1 to {LANES_MAX}"));
        }
        if *self.commit_delay > COMMIT_DELAY_MAX {
            return invalid("commit_delay", "must be at most 1m".into());
        }
        if self.watches_max == 0 {
            return invalid("watches_max", "must be at least 1".into());
        }
        if self.keep.editions == 0 {
            return invalid("keep.editions", "must be at least 1: the current one".into());
        }
        if self.keep.tombstones < self.keep.history {
            let why = "must not be shorter than keep.history: repeats of a delete are known by its tombstone";
            return invalid("keep.tombstones", why.into());
        }
        if let Some(name) = self.namespaces.keys().find(|name| name.is_empty() || name.len() > 512) {
            return invalid(&format!("namespaces.{name:?}"), "a namespace has 1 to 512 bytes".into());
        }
        for (name, settings) in &self.namespaces {
            if settings.ttl.is_some_and(|ttl| !(TTL_MIN..=TTL_MAX).contains(&*ttl)) {
                return invalid(&format!("namespaces.{name}.ttl"), "must be between 1 s and 10 years".into());
            }
        }
        Ok(())
    }

    /// The settings of a namespace.
    pub fn namespace(&self, name: &str) -> Option<&Namespace> {
        self.namespaces.get(name)
    }

    /// Each shard's share of the cache.
    pub fn cache_share(&self) -> usize {
        self.cache.bytes() / SHARDS
    }

    /// The bounds on what is not stored.
    pub fn window(&self) -> WindowLimits {
        WindowLimits {
            cached: Bound { writes: self.cached.writes_max, bytes: self.cached.bytes_max.bytes() as u64 },
            cached_age: *self.cached.age_max,
            waiting: Bound { writes: self.waiting.writes_max, bytes: self.waiting.bytes_max.bytes() as u64 },
        }
    }

    /// How long a shard rests before it counts as clean.
    pub fn idle(&self) -> Duration {
        *self.cached.idle
    }
}

impl Settings for Config {
    fn from_document(document: &Document) -> Result<Self, ConfigError> {
        let config: Self = document.section("state")?;
        config.validate().map_err(|invalid| document.locate(invalid))?;
        Ok(config)
    }

    fn address(&self) -> &str {
        &self.address
    }
}

#[cfg(test)]
mod tests;
