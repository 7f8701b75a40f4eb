//! Several records at once: of one partition, all or none.

use holdfast_proto::state::v1::{self as pb, batch_put_request};
use holdfast_rpc::id;

use crate::{
    Error,
    state::{Address, Durability, Precondition, Record, State, Value, Version, Written},
};

/// Writes to several records of one partition, taken whole or not at all.
#[derive(Debug, Clone)]
pub struct BatchWrite {
    namespace: String,
    partition: String,
    writes: Vec<batch_put_request::Write>,
    write_id: String,
    durability: Durability,
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
        }
    }

    /// The same under an id that a repeat, in another attempt or process, can give again.
    #[must_use]
    pub fn with_id(self, write_id: impl Into<String>) -> Self {
        Self { write_id: write_id.into(), ..self }
    }

    /// Adds a record's new content.
    #[must_use]
    pub fn put(self, key: impl Into<String>, value: Value, precondition: Precondition) -> Self {
        self.with(key.into(), Some(value), precondition)
    }

    /// Adds a deletion.
    #[must_use]
    pub fn delete(self, key: impl Into<String>, precondition: Precondition) -> Self {
        self.with(key.into(), None, precondition)
    }

    fn with(mut self, key: String, value: Option<Value>, precondition: Precondition) -> Self {
        self.writes.push(batch_put_request::Write {
            key,
            precondition: precondition.into(),
            value: value.map(Into::into),
            ..Default::default()
        });
        self
    }
}

/// Which records of a partition to list.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// The namespace.
    pub namespace: String,
    /// The partition.
    pub partition: String,
    /// Only keys that begin so.
    pub prefix: String,
    /// At most so many records; 0 takes the service's default of 100.
    pub page_size: u32,
    /// [`Page::next`] of the page before; empty at first.
    pub page_token: String,
}

/// Some of a partition's records, by key.
#[derive(Debug, Clone)]
pub struct Page {
    /// The records.
    pub records: Vec<Record>,
    /// Where the next page starts; empty at the end.
    pub next: String,
}

impl State {
    /// Several records in one call; absent ones are left out.
    ///
    /// # Errors
    /// As [`State::get`].
    pub async fn batch_get(&self, addresses: &[Address]) -> Result<Vec<Record>, Error> {
        let request =
            pb::BatchGetRequest { addresses: addresses.iter().map(Into::into).collect(), ..Default::default() };
        let answer = self
            .caller
            .call(self.limits(), || {
                let (request, mut client) = (request.clone(), self.client.clone());
                async move { client.batch_get(request).await }
            })
            .await?;
        Ok(answer.records.into_iter().map(Into::into).collect())
    }

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
            ..Default::default()
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

    /// A page of a partition's records, by key.
    ///
    /// # Errors
    /// As [`State::get`].
    pub async fn list(&self, listing: Listing) -> Result<Page, Error> {
        let request = pb::ListRequest {
            namespace: listing.namespace,
            partition: listing.partition,
            key_prefix: listing.prefix,
            page_size: listing.page_size,
            page_token: listing.page_token,
        };
        let answer = self
            .caller
            .call(self.limits(), || {
                let (request, mut client) = (request.clone(), self.client.clone());
                async move { client.list(request).await }
            })
            .await?;
        Ok(Page { records: answer.records.into_iter().map(Into::into).collect(), next: answer.next_page_token })
    }
}
