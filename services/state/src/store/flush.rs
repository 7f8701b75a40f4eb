//! What one transaction takes to the store.

use std::sync::Arc;

use crate::domain::{Address, Edition, Fence, ShardId, Vector};

/// One record's part of a write.
#[derive(Debug, Clone)]
pub struct Change {
    /// Where.
    pub address: Address,
    /// What it becomes.
    pub edition: Arc<Edition>,
    /// Whether the store has no row for this record yet.
    pub creates: bool,
}

/// One entry of a shard's log: taken whole or not at all.
#[derive(Debug)]
pub enum Step {
    /// The writes of one Put, BatchPut or Delete. `marks`: the shard has CACHED writes from here on.
    Write {
        /// At least one.
        changes: Vec<Change>,
        /// How much a crash may lose from now on.
        marks: Option<Bound>,
    },
    /// A tombstone is forgotten: its vector goes into the shard's floor.
    Drop {
        /// Where.
        address: Address,
        /// The tombstone.
        edition: Arc<Edition>,
        /// The shard's floor with it.
        floor: Vector,
    },
    /// Everything CACHED is stored: a crash from here on loses nothing.
    Clean,
    /// Nothing: somebody waits until all before it is stored.
    Barrier,
}

/// The most that a crash can lose of one shard's CACHED writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// Writes.
    pub writes: u64,
    /// Bytes.
    pub bytes: u64,
}

/// The fence that counts in a scope from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FenceChange {
    /// Where.
    pub scope: FenceScope,
    /// The fence.
    pub fence: Fence,
}

/// Within what a fence rises: a session or a lone invocation of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FenceScope {
    /// Whose.
    pub tenant: Arc<str>,
    /// `session:NAME` or `invocation:ID`.
    pub name: Arc<str>,
}

/// Everything that one transaction takes to the store.
#[derive(Debug, Default)]
pub struct Flush {
    /// Whole prefixes of the shards' logs, each in its order.
    pub steps: Vec<(ShardId, Arc<Step>)>,
    /// Fences.
    pub fences: Vec<FenceChange>,
}
