use std::time::SystemTime;

use bytes::Bytes;
use holdfast_proto::state::v1 as pb;
use serde::{Serialize, de::DeserializeOwned};

use crate::Error;

/// Where a record lives, within the caller's tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// The kind of record.
    pub namespace: String,
    /// What belongs together: an agent instance, a session, an account.
    pub partition: String,
    /// The record within its partition.
    pub key: String,
}

impl Address {
    /// An address by its parts.
    pub fn new(namespace: impl Into<String>, partition: impl Into<String>, key: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), partition: partition.into(), key: key.into() }
    }
}

/// The content of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// The bytes.
    pub data: Bytes,
    /// The media type; empty means `application/json`.
    pub content_type: String,
}

impl Value {
    /// A value as JSON.
    ///
    /// # Errors
    /// [`Error::Json`] where it has no JSON form.
    pub fn json(value: &impl Serialize) -> Result<Self, Error> {
        Ok(Self { data: serde_json::to_vec(value)?.into(), content_type: String::new() })
    }
}

/// What a read knew of a record: carry it in the write that follows. Opaque, bound to its address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version(pub Bytes);

/// A record as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it lives.
    pub address: Address,
    /// Its content; `None` only in a conflict, where the record was deleted or is not there.
    pub value: Option<Value>,
    /// Carry it in the write that follows from this read.
    pub version: Version,
    /// Number of accepted writes to this address.
    pub revision: u64,
    /// The write that made it so.
    pub writer: Writer,
    /// When it expires by itself.
    pub expires: Option<SystemTime>,
}

/// What one write made of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edition {
    /// The record after it; it has no value where the write deleted it.
    pub record: Record,
    /// Whether the write deleted the record.
    pub deleted: bool,
    /// Whether it overwrote blindly.
    pub overwrote: bool,
}

impl Record {
    /// The content as JSON.
    ///
    /// # Errors
    /// [`Error::Json`] where there is none of that shape.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        match &self.value {
            Some(value) => Ok(serde_json::from_slice(&value.data)?),
            None => Err(Error::Json("the record is not there".into())),
        }
    }
}

/// Who wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Writer {
    /// The write's id.
    pub write_id: String,
    /// The invocation under whose lease it was written; empty outside of one.
    pub invocation_id: String,
    /// When it was decided.
    pub time: Option<SystemTime>,
}

/// What must hold for a write to be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    /// The record does not exist yet.
    Absent,
    /// The record stands as it was read.
    Version(Version),
    /// Nothing: overwrites blindly, and is counted.
    Overwrite,
}

/// What a refused write ran into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The record as it stands now.
    pub current: Record,
    /// Whether the record has content that is too large for an error: read it.
    pub value_omitted: bool,
    /// Who wrote since the version presented, newest first, as far as the history goes.
    pub writers_since: Vec<Writer>,
    /// Whether this very write may have been applied earlier, before what the history still knows.
    pub may_have_happened: bool,
}

/// An acknowledged write that is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The version presented, readable.
    pub presented: String,
    /// The version held, readable.
    pub held: String,
    /// The record as it stands now.
    pub current: Record,
}

/// A write that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The record's new version.
    pub version: Version,
    /// Number of accepted writes to this address.
    pub revision: u64,
}

impl From<&Address> for pb::Address {
    fn from(address: &Address) -> Self {
        Self { namespace: address.namespace.clone(), partition: address.partition.clone(), key: address.key.clone() }
    }
}

impl From<Value> for pb::Value {
    fn from(value: Value) -> Self {
        Self { data: value.data, content_type: value.content_type }
    }
}

impl From<Precondition> for Option<pb::Precondition> {
    fn from(precondition: Precondition) -> Self {
        use pb::precondition::{Overwrite, Precondition as Wire};
        let wire = match precondition {
            Precondition::Absent => return None,
            Precondition::Version(version) => Wire::Version(version.0),
            Precondition::Overwrite => Wire::Overwrite(Overwrite {}),
        };
        Some(pb::Precondition { precondition: Some(wire) })
    }
}

impl From<pb::Record> for Record {
    fn from(record: pb::Record) -> Self {
        let address = record.address.unwrap_or_default();
        Self {
            address: Address::new(address.namespace, address.partition, address.key),
            value: record.value.map(|value| Value { data: value.data, content_type: value.content_type }),
            version: Version(record.version),
            revision: record.revision,
            writer: record.writer.unwrap_or_default().into(),
            expires: record.expire_time.and_then(time),
        }
    }
}

impl From<pb::Edition> for Edition {
    fn from(edition: pb::Edition) -> Self {
        let record = edition.record.unwrap_or_default().into();
        Self { record, deleted: edition.deleted, overwrote: edition.overwrote }
    }
}

impl From<pb::Writer> for Writer {
    fn from(writer: pb::Writer) -> Self {
        Self { write_id: writer.write_id, invocation_id: writer.invocation_id, time: writer.time.and_then(time) }
    }
}

impl From<pb::Conflict> for Conflict {
    fn from(conflict: pb::Conflict) -> Self {
        let current = conflict.current.unwrap_or_default();
        Self {
            value_omitted: current.value_omitted,
            current: current.into(),
            writers_since: conflict.writers_since.into_iter().map(Into::into).collect(),
            may_have_happened: conflict.may_have_happened,
        }
    }
}

impl From<pb::Loss> for Loss {
    fn from(loss: pb::Loss) -> Self {
        Self { presented: loss.presented, held: loss.held, current: loss.current.unwrap_or_default().into() }
    }
}

/// A time from the wire; `None` where this machine has no word for it.
pub(super) fn time(timestamp: prost_types::Timestamp) -> Option<SystemTime> {
    timestamp.try_into().ok()
}
