//! The records of calls, kept by the state service, and the fences of leases, which it alone decides.

use std::time::Duration;

use bytes::Bytes;
use holdfast_proto::state::v1::precondition::Precondition as Must;
use holdfast_proto::state::v1::state_service_client::StateServiceClient;
use holdfast_proto::state::v1::{
    Address, Conflict, Durability, GetRequest, Precondition, PutRequest, Record as StateRecord, RegisterFenceRequest,
    Value,
};
use holdfast_resilience::Backoff;
use holdfast_rpc::{Channel, Error, client, deadline, id, status};
use tokio::time::{Instant, sleep};
use tonic::{Code, Request, Status};

use crate::domain::{Record, Slot};

/// Where the records live: the mesh's own.
const NAMESPACE: &str = "holdfast.calls";
/// A record is a tool's answer and little more; the state service has a limit of its own.
const RECORD_BYTES_MAX: usize = 64 << 20;
/// When to come back where the state service did not say.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Between tries of a write that must not be given up.
const BACKOFF: Backoff = Backoff::doubling(Duration::from_millis(50), Duration::from_secs(2));

/// The way to the records.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    client: StateServiceClient<Channel>,
    timeout: Duration,
    /// How long a record lives unless it is written again.
    kept: Duration,
}

/// A record with the version that was read.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) record: Record,
    pub(crate) version: Bytes,
}

/// What became of a write.
#[derive(Debug)]
pub(crate) enum Written {
    /// It was taken; the new version.
    Taken(Bytes),
    /// The record has moved on; what it is now.
    Moved(Option<Box<Found>>),
}

/// In whose name a record is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Authority {
    /// The lease's: refused once the lease is superseded.
    Lease,
    /// The mesh's own: a result that is known is never thrown away.
    Mesh,
}

/// How long a write is tried.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Persistence {
    /// Given up at once where it certainly did not happen; where it may have, tried again until then.
    IfUnsure(Instant),
    /// Tried again until then.
    Always(Instant),
}

impl Journal {
    pub(crate) fn new(state: Channel, timeout: Duration, kept: Duration) -> Self {
        let client = StateServiceClient::new(state)
            .max_decoding_message_size(RECORD_BYTES_MAX)
            .max_encoding_message_size(RECORD_BYTES_MAX);
        Self { client, timeout, kept }
    }

    /// The record of a call.
    pub(crate) async fn find(&self, slot: &Slot) -> Result<Option<Box<Found>>, Error> {
        let request = client::for_tenant(
            Request::new(GetRequest { address: Some(address(slot)), ..Default::default() }),
            &slot.tenant,
        )?;
        let mut state = self.client.clone();
        match self.within(state.get(request)).await {
            Ok(answer) => answer.into_inner().record.map(read).transpose(),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(refusal(status)),
        }
    }

    /// Writes the record of a call, durably. `version` is the one that it follows; none means that it must be the first.
    pub(crate) async fn write(
        &self,
        slot: &Slot,
        record: &Record,
        version: Option<&Bytes>,
        authority: Authority,
        persistence: Persistence,
    ) -> Result<Written, Error> {
        let put = put(slot, record, version, self.kept)?;
        let (mut insist, until) = match persistence {
            Persistence::IfUnsure(until) => (false, until),
            Persistence::Always(until) => (true, until),
        };
        let mut failed = 0;
        loop {
            let (error, unsure) = match self.put_once(slot, &put, authority).await {
                Ok(written) => return Ok(written),
                Err(failure) => failure,
            };
            failed += 1;
            insist |= unsure;
            let delay = BACKOFF.delay(failed, &mut rand::rng());
            if error.code() != Code::Unavailable || !insist || Instant::now() + delay >= until {
                return Err(error);
            }
            sleep(delay).await;
        }
    }

    /// Makes the lease's fence the one that counts; FAILED_PRECONDITION where a newer one does.
    pub(crate) async fn confirm_fence(&self, slot: &Slot) -> Result<(), Error> {
        let request = named(RegisterFenceRequest {}, slot, Authority::Lease)?;
        let mut state = self.client.clone();
        self.within(state.register_fence(request)).await.map(drop).map_err(refusal)
    }

    /// An error comes with whether the write may have happened all the same.
    async fn put_once(&self, slot: &Slot, put: &PutRequest, authority: Authority) -> Result<Written, (Error, bool)> {
        let sure = |error| (error, false);
        let mut state = self.client.clone();
        let request = named(put.clone(), slot, authority).map_err(sure)?;
        match self.within(state.put(request)).await {
            Ok(answer) => Ok(Written::Taken(answer.into_inner().version)),
            Err(status) if status.code() == Code::Aborted => {
                let current = status::detail::<Conflict>(&status).and_then(|conflict| conflict.current);
                if current.as_ref().is_some_and(|record| record.value_omitted) {
                    // Too large for an error: it is to be read.
                    return self.find(slot).await.map(Written::Moved).map_err(sure);
                }
                let current = current.filter(|record| record.value.is_some());
                Ok(Written::Moved(current.map(read).transpose().map_err(sure)?))
            }
            Err(status) => {
                let unsure = status::may_have_happened(&status);
                Err((refusal(status), unsure))
            }
        }
    }

    /// One question may take only so long, and no longer than the call that asks it.
    async fn within<F: Future>(&self, question: F) -> F::Output {
        let own = Instant::now() + self.timeout;
        let until = deadline::current().map_or(own, |deadline| deadline.min(own));
        deadline::scope(Some(until), question).await
    }
}

fn address(slot: &Slot) -> Address {
    Address { namespace: NAMESPACE.into(), partition: slot.partition.clone(), key: slot.key.clone() }
}

fn put(slot: &Slot, record: &Record, version: Option<&Bytes>, kept: Duration) -> Result<PutRequest, Error> {
    Ok(PutRequest {
        address: Some(address(slot)),
        value: Some(Value {
            data: serde_json::to_vec(record).map_err(Error::internal)?.into(),
            content_type: String::new(),
        }),
        precondition: version.map(|version| Precondition { precondition: Some(Must::Version(version.clone())) }),
        // A repeat of this very write gets its first answer, so a lost reply does no harm.
        write_id: id::new(),
        durability: Durability::Durable.into(),
        ttl: Some(kept.try_into().map_err(Error::internal)?),
        ..Default::default()
    })
}

fn named<T>(message: T, slot: &Slot, authority: Authority) -> Result<Request<T>, Error> {
    let request = client::for_tenant(Request::new(message), &slot.tenant)?;
    match (authority, &slot.lease) {
        (Authority::Lease, Some(token)) => client::with_lease(request, token),
        _ => Ok(request),
    }
}

fn read(record: StateRecord) -> Result<Box<Found>, Error> {
    let value = record.value.unwrap_or_default();
    let record_of_call = serde_json::from_slice(&value.data).map_err(Error::internal)?;
    Ok(Box::new(Found { record: record_of_call, version: record.version }))
}

/// What the caller is told: refusals as they are, everything that may pass as UNAVAILABLE with a time to come back.
/// Whether the *call* may have happened is not for the journal to say.
fn refusal(status: Status) -> Error {
    let passing = matches!(
        status.code(),
        Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown
    );
    if !passing {
        return status.into();
    }
    let wait = status::retry_after(&status).unwrap_or(RETRY_AFTER);
    Error::unavailable(format!("the call cannot be recorded: {}", status.message()), wait)
}
