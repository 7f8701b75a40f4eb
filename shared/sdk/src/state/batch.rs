//! Several records at once: of one partition, all or none.

use std::time::Duration;

use holdfast_proto::state::v1::{self as pb, batch_put_request};
use holdfast_rpc::{id, time};

use crate::{
    Error,
    state::{Durability, Guard, Precondition, State, Value, Version, Written},
};

/// Writes to several records of one partition, taken whole or not at all.
#[derive(Debug, Clone)]
pub struct BatchWrite {
    namespace: String,
    partition: String,
    writes: Vec<batch_put_request::Write>,
    write_id: String,
    durability: Durability,
    lock: Option<Guard>,
}

impl BatchWrite {
    /// An empty batch with an id of its own.
    pub fn new(namespace: impl Into<String>, partition: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            partition: partition.into(),
            writes: Vec::new(),
            write_id: id::new(),
            durability: Durability::AsConfigured,
            lock: None,
        }
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

    /// Adds a record's new content.
    #[must_use]
    pub fn put(self, key: impl Into<String>, value: Value, precondition: Precondition) -> Self {
        self.with(key.into(), Some(value), precondition, None)
    }

    /// Adds a record's new content, which expires by itself.
    #[must_use]
    pub fn put_for(self, ttl: Duration, key: impl Into<String>, value: Value, precondition: Precondition) -> Self {
        self.with(key.into(), Some(value), precondition, Some(ttl))
    }

    /// Adds a deletion.
    #[must_use]
    pub fn delete(self, key: impl Into<String>, precondition: Precondition) -> Self {
        self.with(key.into(), None, precondition, None)
    }

    fn with(mut self, key: String, value: Option<Value>, precondition: Precondition, ttl: Option<Duration>) -> Self {
        self.writes.push(batch_put_request::Write {
            key,
            precondition: precondition.into(),
            value: value.map(Into::into),
            ttl: ttl.map(time::duration),
        });
        self
    }
}

impl State {
    /// Writes several records of one partition, all or none; the answers stand in the order of the writes.
    ///
    /// # Errors
    /// As [`State::write`].
    pub async fn batch_put(&self, batch: BatchWrite) -> Result<Vec<Written>, Error> {
        let request = pb::BatchPutRequest {
            namespace: batch.namespace,
            partition: batch.partition,
            writes: batch.writes,
            write_id: batch.write_id,
            durability: pb::Durability::from(batch.durability).into(),
            lock: batch.lock.map(Into::into),
        };
        let answer = self
            .caller
            .call(self.limits(), || {
                let (request, mut client) = (request.clone(), self.client.clone());
                async move { client.batch_put(request).await }
            })
            .await?;
        let written =
            |one: pb::batch_put_response::Written| Written { version: Version(one.version), revision: one.revision };
        Ok(answer.written.into_iter().map(written).collect())
    }
}
