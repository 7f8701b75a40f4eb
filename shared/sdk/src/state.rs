//! Shared state: records that are read with a version and written on condition of it.

mod batch;
mod record;
mod update;

use std::time::Duration;

use holdfast_proto::state::v1::{self as pb, state_service_client::StateServiceClient};
use holdfast_rpc::id;

pub use batch::{BatchWrite, Listing, Page};
pub use record::{Address, Conflict, Loss, Precondition, Record, Value, Version, Writer, Written};

use crate::{
    Error,
    calls::{Caller, Limits},
    endpoints::Link,
};

/// A state call is quick; one that hangs is made again.
const ATTEMPT: Duration = Duration::from_secs(5);

/// How long a client waits for a state service that is away.
const FREE: Limits = Limits { attempt: ATTEMPT, whole: Duration::from_secs(30), patience: Duration::from_secs(30) };

/// Under a lease, a call waits as long as the lease lives and the deadline allows: an agent pauses, and loses nothing.
const HELD: Limits = Limits { attempt: ATTEMPT, whole: A_DAY, patience: A_DAY };
const A_DAY: Duration = Duration::from_secs(24 * 3_600);

/// Largest answer taken from the state service: a page of records.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// The records of one tenant. Cheap to clone. Under a lease ([`crate::Context::state`]) every call carries it, and
/// waits while the state service is away, within the invocation's deadline.
#[derive(Debug, Clone)]
pub struct State {
    client: StateServiceClient<Link>,
    caller: Caller,
}

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
        Self { address, value, precondition, write_id: id::new(), durability: Durability::AsConfigured }
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
}

impl State {
    pub(crate) fn new(link: Link, caller: Caller) -> Self {
        Self { client: StateServiceClient::new(link).max_decoding_message_size(ANSWER_BYTES_MAX), caller }
    }

    fn limits(&self) -> Limits {
        match self.caller {
            Caller::Client(_) => FREE,
            Caller::Holder(_) => HELD,
        }
    }

    /// One record, or `None` where there is none.
    ///
    /// # Errors
    /// What [`Error`] lists for reads: unavailable, past the deadline, denied.
    pub async fn get(&self, address: &Address) -> Result<Option<Record>, Error> {
        let answer = self
            .caller
            .call(self.limits(), || {
                let request = pb::GetRequest { address: Some(address.into()), ..Default::default() };
                let mut client = self.client.clone();
                async move { client.get(request).await }
            })
            .await;
        match answer {
            Ok(answer) => Ok(answer.record.map(Into::into)),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes one record under an id of this call's own.
    ///
    /// # Errors
    /// As [`State::write`].
    pub async fn put(&self, address: &Address, value: Value, precondition: Precondition) -> Result<Written, Error> {
        self.write(Write::new(address.clone(), value, precondition)).await
    }

    /// Writes one record. An answer that got lost is asked for again under the same id, so the write happens once.
    ///
    /// # Errors
    /// [`Error::Conflict`] where the record has moved on, [`Error::DataLoss`] where the version names a write that is
    /// gone, [`Error::LeaseGone`] where a newer lease writes.
    pub async fn write(&self, write: Write) -> Result<Written, Error> {
        let request = pb::PutRequest {
            address: Some((&write.address).into()),
            value: Some(write.value.into()),
            precondition: write.precondition.into(),
            write_id: write.write_id,
            durability: pb::Durability::from(write.durability).into(),
            ..Default::default()
        };
        let answer = self
            .caller
            .call(self.limits(), || {
                let (request, mut client) = (request.clone(), self.client.clone());
                async move { client.put(request).await }
            })
            .await?;
        Ok(Written { version: Version(answer.version), revision: answer.revision })
    }

    /// Deletes one record, on condition of the version that was read.
    ///
    /// # Errors
    /// As [`State::write`].
    pub async fn delete(&self, address: &Address, precondition: Precondition) -> Result<(), Error> {
        let request = pb::DeleteRequest {
            address: Some(address.into()),
            precondition: precondition.into(),
            write_id: id::new(),
            durability: pb::Durability::Unspecified.into(),
            ..Default::default()
        };
        self.caller
            .call(self.limits(), || {
                let (request, mut client) = (request.clone(), self.client.clone());
                async move { client.delete(request).await }
            })
            .await?;
        Ok(())
    }

    /// Makes the lease's fence the one that counts, durably: from then on no earlier holder can write.
    pub(crate) async fn register_fence(&self) -> Result<(), Error> {
        self.caller
            .call(self.limits(), || {
                let mut client = self.client.clone();
                async move { client.register_fence(pb::RegisterFenceRequest {}).await }
            })
            .await?;
        Ok(())
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
