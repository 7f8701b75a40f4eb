//! Locks, between the wire and the use cases.

use std::{ops::RangeInclusive, time::Duration};

use holdfast_proto::state::v1 as pb;
use holdfast_rpc::{Caller, Error, time};
use uuid::Uuid;

use super::{lock_address, page_size, partition, spans};
use crate::{
    domain::Partition,
    locks::{Acquire, Held, Lock},
    write::Holder,
};

const TTL: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3_600);
const TTL_DEFAULT: Duration = Duration::from_secs(30);
/// Who would wait longer asks again, and keeps the place in line.
const WAIT: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(3_600);

pub(in crate::grpc) fn acquire(
    caller: &Caller,
    request: &pb::AcquireLockRequest,
    lease: Option<Holder>,
) -> Result<Acquire, Error> {
    let partition = partition(caller.tenant()?, &request.namespace, &request.partition)?;
    lock_address(&partition, &request.name, "name")?;
    let request_id = match request.request_id.as_str() {
        "" => Uuid::now_v7(),
        text => Uuid::try_parse(text).map_err(|_| Error::invalid("request_id", "is not a UUID"))?,
    };
    let holder = caller.lease.as_ref().map_or(&caller.principal, |lease| &lease.invocation_id);
    Ok(Acquire {
        partition,
        name: request.name.as_str().into(),
        ttl: spans::within(request.ttl.as_ref(), "ttl", TTL)?.unwrap_or(TTL_DEFAULT),
        wait: spans::within(request.wait.as_ref(), "wait", WAIT)?.unwrap_or_default(),
        request_id,
        holder: holder.as_str().into(),
        lease,
    })
}

pub(in crate::grpc) fn renewal(
    tenant: &str,
    request: &pb::RenewLockRequest,
    lease: Option<Holder>,
) -> Result<Held, Error> {
    let partition = partition(tenant, &request.namespace, &request.partition)?;
    held(partition, &request.name, request.fence, lease)
}

pub(in crate::grpc) fn release(
    tenant: &str,
    request: &pb::ReleaseLockRequest,
    lease: Option<Holder>,
) -> Result<Held, Error> {
    let partition = partition(tenant, &request.namespace, &request.partition)?;
    held(partition, &request.name, request.fence, lease)
}

fn held(partition: Partition, name: &str, fence: u64, lease: Option<Holder>) -> Result<Held, Error> {
    lock_address(&partition, name, "name")?;
    if fence == 0 {
        return Err(Error::invalid("fence", "is missing: carry the one that AcquireLock gave"));
    }
    Ok(Held { partition, name: name.into(), fence, lease })
}

/// Which page of a partition's locks.
pub(in crate::grpc) struct LocksQuery {
    pub(in crate::grpc) partition: Partition,
    pub(in crate::grpc) after: String,
    /// One more than the page has: it says whether there is another.
    pub(in crate::grpc) most: usize,
}

pub(in crate::grpc) fn locks_query(tenant: &str, request: pb::ListLocksRequest) -> Result<LocksQuery, Error> {
    Ok(LocksQuery {
        partition: partition(tenant, &request.namespace, &request.partition)?,
        after: request.page_token,
        most: page_size(request.page_size)? + 1,
    })
}

pub(in crate::grpc) fn locks(query: &LocksQuery, locks: &[Lock]) -> pb::ListLocksResponse {
    let page = &locks[..locks.len().min(query.most - 1)];
    let last = page.last().filter(|_| locks.len() > page.len());
    pb::ListLocksResponse {
        next_page_token: last.map(|lock| lock.name.as_ref().to_owned()).unwrap_or_default(),
        locks: page.iter().map(lock).collect(),
    }
}

pub(in crate::grpc) fn lock(lock: &Lock) -> pb::Lock {
    pb::Lock {
        name: lock.name.as_ref().to_owned(),
        fence: lock.fence,
        holder: lock.holder.as_ref().to_owned(),
        ttl: Some(time::duration(lock.ttl)),
        acquire_time: Some(time::timestamp(lock.acquired)),
        waiting: u32::try_from(lock.waiting).unwrap_or(u32::MAX),
    }
}
