//! Shared state: records that are read with a version and written on condition of it.

mod batch;
mod lock;
mod reads;
mod record;
mod update;
mod watch;
mod write;

use std::time::Duration;

use holdfast_proto::state::v1::{self as pb, state_service_client::StateServiceClient};
use holdfast_rpc::time;

pub use batch::BatchWrite;
pub use lock::{Lock, LockInfo, LockPage, LockRequest};
pub use reads::{Editions, Listing, Page, Seen};
pub use record::{Address, Conflict, Edition, Loss, Precondition, Record, Value, Version, Writer, Written};
pub use watch::{Change, Changes, Watching};
pub use write::{Deletion, Durability, Guard, Write};

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
    /// gone, [`Error::LeaseGone`] where a newer lease writes, [`Error::Precondition`] (`LOCK_LOST`) where the lock under
    /// which it was to be is another's.
    pub async fn write(&self, write: Write) -> Result<Written, Error> {
        let request = pb::PutRequest {
            address: Some((&write.address).into()),
            value: Some(write.value.into()),
            precondition: write.precondition.into(),
            write_id: write.write_id,
            durability: pb::Durability::from(write.durability).into(),
            ttl: write.ttl.map(time::duration),
            lock: write.lock.map(Into::into),
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
        self.remove(Deletion::new(address.clone(), precondition)).await
    }

    /// Deletes one record. An answer that got lost is asked for again under the same id.
    ///
    /// # Errors
    /// As [`State::write`], and [`Error::NotFound`].
    pub async fn remove(&self, deletion: Deletion) -> Result<(), Error> {
        let request = pb::DeleteRequest {
            address: Some((&deletion.address).into()),
            precondition: deletion.precondition.into(),
            write_id: deletion.write_id,
            durability: pb::Durability::from(deletion.durability).into(),
            lock: deletion.lock.map(Into::into),
        };
        self.caller
            .call(self.limits(), || {
                let (request, mut client) = (request.clone(), self.client.clone());
                async move { client.delete(request).await }
            })
            .await?;
        Ok(())
    }

    /// Returns once everything that was acknowledged in a partition before this call is in the persistent store.
    ///
    /// # Errors
    /// Those of every call: unavailable, past the deadline, denied.
    pub async fn sync(&self, namespace: &str, partition: &str) -> Result<(), Error> {
        let request = pb::SyncRequest { namespace: namespace.into(), partition: partition.into() };
        self.caller
            .call(self.limits(), || {
                let (request, mut client) = (request.clone(), self.client.clone());
                async move { client.sync(request).await }
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
