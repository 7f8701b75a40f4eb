//! Records and the writes that make them.

use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::{Address, Vector};

/// Microseconds since 1970, for records only; no decision rests on them.
pub type Micros = i64;

/// The number of a record in its store.
pub type RecordId = u64;

/// The place of a write in the history; it rises within a shard. 0 stands for none.
pub type Seq = u64;

/// The content of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// The bytes.
    pub data: Bytes,
    /// The media type; empty means application/json.
    pub content_type: Arc<str>,
}

/// Who wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writer {
    /// The write's id.
    pub write_id: Uuid,
    /// The invocation under whose lease it was written; empty outside of one.
    pub invocation_id: Arc<str>,
    /// When it was decided.
    pub time: Micros,
}

/// What one write made of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edition {
    /// The record's number.
    pub record: RecordId,
    /// The write's place in the history.
    pub seq: Seq,
    /// The place of the record's write before it; 0 for the first.
    pub previous: Seq,
    /// Number of accepted writes to the address, this one included.
    pub revision: u64,
    /// The version.
    pub vector: Vector,
    /// The content; absent where the write deleted the record.
    pub value: Option<Value>,
    /// Who wrote it.
    pub writer: Writer,
    /// Whether it overwrote blindly.
    pub blind: bool,
    /// When the record expires by itself.
    pub expires: Option<Micros>,
}

impl Edition {
    /// Whether there is a record after it.
    pub fn is_live(&self) -> bool {
        self.value.is_some()
    }

    /// Its size in memory, for the bounds of cache and log.
    pub fn bytes(&self) -> usize {
        let value = self.value.as_ref().map_or(0, |value| value.data.len() + value.content_type.len());
        size_of::<Self>() + value + self.vector.entries() * 16 + self.writer.invocation_id.len()
    }
}

/// The revision of an address's next edition. What a record's tombstone had counted to is not known any more once it is
/// forgotten. A hidden record then counts on from what any forgotten one of its shard can have counted to, for a lock's
/// revision is its fence, and no fence is given twice.
pub fn next_revision(address: &Address, before: Option<&Edition>, floor: &Vector) -> u64 {
    match before {
        Some(before) => before.revision + 1,
        None if address.is_hidden() => floor.total() + 1,
        None => 1,
    }
}

/// What must hold for a write to be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    /// There is no such record.
    Absent,
    /// It has this version.
    Version(Vector),
    /// Nothing: a blind overwrite.
    Overwrite,
}
