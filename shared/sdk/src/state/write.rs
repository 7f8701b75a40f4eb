//! What is asked of a write.

use std::time::Duration;

use holdfast_proto::state::v1 as pb;
use holdfast_rpc::id;

use crate::state::{Address, Precondition, Value};

/// One record's write.
#[derive(Debug, Clone)]
pub struct Write {
    /// Where.
    pub address: Address,
    /// The new content.
    pub value: Value,
    /// What must hold.
    pub precondition: Precondition,
    /// The write's id: its repeat gets its first answer.
    pub write_id: String,
    /// Whether it may be acknowledged from the cache, before it is in the store.
    pub durability: Durability,
    /// How long the record lives unless it is written again; `None` takes the namespace's setting, which is for ever
    /// unless configured.
    pub ttl: Option<Duration>,
    /// The lock that must be held for it to be taken.
    pub lock: Option<Guard>,
}

/// One record's deletion.
#[derive(Debug, Clone)]
pub struct Deletion {
    /// Where.
    pub address: Address,
    /// What must hold; [`Precondition::Absent`] is refused.
    pub precondition: Precondition,
    /// The write's id: its repeat gets its first answer.
    pub write_id: String,
    /// Whether it may be acknowledged from the cache, before it is in the store.
    pub durability: Durability,
    /// The lock that must be held for it to be taken.
    pub lock: Option<Guard>,
}

/// A lock as it goes with a write: of the same partition, and refused (`LOCK_LOST`) where it is another's by now.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Guard {
    /// The lock's name.
    pub name: String,
    /// Its fence.
    pub fence: u64,
}

/// How safe a write is before it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// The namespace's setting, which is durable unless configured.
    #[default]
    AsConfigured,
    /// In the persistent store.
    Durable,
    /// In the cache, flushed behind within bounds.
    Cached,
}

impl Write {
    /// A write with an id of its own.
    pub fn new(address: Address, value: Value, precondition: Precondition) -> Self {
        let durability = Durability::AsConfigured;
        Self { address, value, precondition, write_id: id::new(), durability, ttl: None, lock: None }
    }

    /// The same under an id that a repeat, in another attempt or process, can give again.
    #[must_use]
    pub fn with_id(self, write_id: impl Into<String>) -> Self {
        Self { write_id: write_id.into(), ..self }
    }

    /// The same with a wish about its safety.
    #[must_use]
    pub fn with_durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }

    /// The same for a record that expires by itself: after a second at least, and ten years at most.
    #[must_use]
    pub fn with_ttl(self, ttl: Duration) -> Self {
        Self { ttl: Some(ttl), ..self }
    }

    /// The same under a lock.
    #[must_use]
    pub fn under(self, lock: &Guard) -> Self {
        Self { lock: Some(lock.clone()), ..self }
    }
}

impl Deletion {
    /// A deletion with an id of its own.
    pub fn new(address: Address, precondition: Precondition) -> Self {
        Self { address, precondition, write_id: id::new(), durability: Durability::AsConfigured, lock: None }
    }

    /// The same under an id that a repeat, in another attempt or process, can give again.
    #[must_use]
    pub fn with_id(self, write_id: impl Into<String>) -> Self {
        Self { write_id: write_id.into(), ..self }
    }

    /// The same with a wish about its safety.
    #[must_use]
    pub fn with_durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }

    /// The same under a lock.
    #[must_use]
    pub fn under(self, lock: &Guard) -> Self {
        Self { lock: Some(lock.clone()), ..self }
    }
}

impl From<Durability> for pb::Durability {
    fn from(durability: Durability) -> Self {
        match durability {
            Durability::AsConfigured => Self::Unspecified,
            Durability::Durable => Self::Durable,
            Durability::Cached => Self::Cached,
        }
    }
}

impl From<Guard> for pb::LockGuard {
    fn from(guard: Guard) -> Self {
        Self { name: guard.name, fence: guard.fence }
    }
}
