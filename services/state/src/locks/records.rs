//! The three hidden records of a lock, and what is in them.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::domain::{Address, Micros, Partition, Value};

/// What the keys of lock records begin with.
pub(super) const LOCK: &str = "lock";
const RENEWAL: &str = "renewal";
const LINE: &str = "line";

/// Where the records of one lock are. One partition has them all, so that one batch can change them.
#[derive(Debug, Clone)]
pub(super) struct Places {
    /// Who has the lock. Each of its writes is a change of hands, so its revision is the fence.
    pub(super) lock: Address,
    /// The last sign of life from the holder: of its own, so that renewing leaves the fence as it is.
    pub(super) renewal: Address,
    /// Who waits, in order.
    pub(super) line: Address,
}

impl Places {
    pub(super) fn of(partition: &Partition, name: &str) -> Self {
        let record = |kind| partition.hidden(kind, name);
        Self { lock: record(LOCK), renewal: record(RENEWAL), line: record(LINE) }
    }

    pub(super) fn all(&self) -> [Address; 3] {
        [self.lock.clone(), self.renewal.clone(), self.line.clone()]
    }
}

/// One caller of a lock, as its place in the line and its grant say it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claimant {
    /// The caller's id for what it asks.
    pub(super) request: Uuid,
    /// Who it is, for people.
    pub(super) holder: String,
    /// How long it holds the lock without renewal.
    pub(super) ttl_ms: u64,
    /// How long it waits at most, from when it came to its desk.
    pub(super) wait_ms: u64,
    /// The desk that speaks for it.
    pub(super) desk: Uuid,
}

impl Claimant {
    pub(super) fn ttl(&self) -> Duration {
        Duration::from_millis(self.ttl_ms)
    }

    pub(super) fn wait(&self) -> Duration {
        Duration::from_millis(self.wait_ms)
    }
}

/// The lock record: whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Grant {
    pub(super) to: Claimant,
    /// When, for people.
    pub(super) at: Micros,
    /// Whether its desk took it itself. What was handed over is an offer until a renewal says that the desk is there.
    pub(super) claimed: bool,
}

/// The renewal record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Renewal {
    /// Of the holder with this fence.
    pub(super) fence: u64,
    /// The desk that claimed the lock for its caller; nil where the holder itself renewed.
    pub(super) desk: Uuid,
}

/// The line record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Line(pub(super) VecDeque<Claimant>);

pub(super) fn value<T: Serialize>(content: &T) -> Value {
    // Plain data into memory: there is nothing that could fail.
    let data = serde_json::to_vec(content).map(Bytes::from).unwrap_or_default();
    Value { data, content_type: "".into() }
}

/// `None` for what another release wrote in a way of its own.
pub(super) fn content<T: DeserializeOwned>(value: &Value) -> Option<T> {
    serde_json::from_slice(&value.data).ok()
}
