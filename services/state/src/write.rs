//! One write as the service is asked for it, and what becomes of it.

use std::sync::Arc;

use uuid::Uuid;

use crate::{
    domain::{Address, Edition, Micros, Note, Precondition, Value, Vector},
    store::FenceScope,
};

/// How safe a write is before it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// In the persistent store.
    Durable,
    /// In the cache, flushed behind.
    Cached,
}

/// One record's part of a command.
#[derive(Debug, Clone)]
pub struct Write {
    /// Where.
    pub address: Address,
    /// What must hold.
    pub precondition: Precondition,
    /// The new content; absent to delete the record.
    pub value: Option<Value>,
    /// When the record expires by itself.
    pub expires: Option<Micros>,
}

/// A lock under which a command is made: the lock's record, in the partition of its writes, must be live and have this
/// revision.
#[derive(Debug, Clone)]
pub struct Guard {
    /// The lock's record.
    pub address: Address,
    /// The lock's fence.
    pub revision: u64,
}

/// A lease as far as fences are concerned.
#[derive(Debug, Clone)]
pub struct Holder {
    /// Where its fence counts.
    pub scope: FenceScope,
    /// The fence.
    pub number: u64,
    /// The lease's id.
    pub lease: Arc<str>,
}

impl Write {
    /// The version that it follows from.
    pub fn presented(&self) -> Option<&Vector> {
        match &self.precondition {
            Precondition::Version(vector) => Some(vector),
            Precondition::Absent | Precondition::Overwrite => None,
        }
    }
}

/// Writes of one partition that are taken together or not at all.
#[derive(Debug, Clone)]
pub struct Command {
    /// At least one, each address once.
    pub writes: Vec<Write>,
    /// The lock that must be held.
    pub guard: Option<Guard>,
    /// The caller's id for it; its repeat gets the first answer.
    pub write_id: Option<Uuid>,
    /// The invocation under whose lease it is; empty outside of one.
    pub invocation_id: Arc<str>,
    /// How safe it must be.
    pub durability: Durability,
    /// When it arrived.
    pub now: Micros,
}

impl Command {
    /// About how much it holds in memory.
    pub fn bytes(&self) -> usize {
        let of = |write: &Write| {
            let value = write.value.as_ref().map_or(0, |value| value.data.len() + value.content_type.len());
            size_of::<Edition>() + write.address.bytes() + value
        };
        self.writes.iter().map(of).sum()
    }
}

/// The write was taken, now or when it first came.
#[derive(Debug, Clone)]
pub struct Written {
    /// In the order of the writes.
    pub records: Vec<WrittenRecord>,
    /// How safe it is.
    pub durability: Durability,
}

/// One record's new standing.
#[derive(Debug, Clone)]
pub struct WrittenRecord {
    /// The version.
    pub vector: Vector,
    /// Number of accepted writes to the address.
    pub revision: u64,
}

impl From<&Edition> for WrittenRecord {
    fn from(edition: &Edition) -> Self {
        Self { vector: edition.vector.clone(), revision: edition.revision }
    }
}

impl From<&Note> for WrittenRecord {
    fn from(note: &Note) -> Self {
        Self { vector: note.vector.clone(), revision: note.revision }
    }
}

/// A record as it stands; an absent one has its shard's floor as its version.
#[derive(Debug, Clone)]
pub struct Current {
    /// Where.
    pub address: Address,
    /// Its newest visible edition, a tombstone included.
    pub edition: Option<Arc<Edition>>,
    /// The version.
    pub vector: Vector,
}

/// Why a write was not taken, apart from trouble with the store.
#[derive(Debug, Clone)]
pub enum Refusal {
    /// The record has moved on.
    Conflict {
        /// What it is now.
        current: Current,
        /// Who wrote since, newest first.
        since: Vec<Note>,
        /// Whether this write may have been taken before.
        may_have_happened: bool,
    },
    /// It follows from a write that is gone.
    Lost {
        /// The version that was presented.
        presented: Vector,
        /// What the record is now.
        current: Current,
    },
    /// The lock that guards it is another's, or nobody's.
    LockLost {
        /// The lock's record.
        address: Address,
    },
    /// There is nothing to delete.
    NotThere {
        /// Where.
        address: Address,
    },
}
