//! Writes from the wire.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;
use holdfast_proto::state::v1::{self as pb, precondition};
use holdfast_rpc::{Caller, Error};
use uuid::Uuid;

use super::{address, lock_address, named, spans};
use crate::{
    config::Config,
    domain::{self, Address, Micros, Partition, Precondition, Vector},
    write::{Command, Durability, Guard, Write},
};

const BATCH_PUT_MAX: usize = 100;
const CONTENT_TYPE_BYTES_MAX: usize = 256;

pub(in crate::grpc) fn put(
    caller: &Caller,
    request: pb::PutRequest,
    config: &Config,
    now: Micros,
) -> Result<Command, Error> {
    let address = address(caller.tenant()?, request.address.as_ref(), "address")?;
    let value = request.value.ok_or_else(|| Error::invalid("value", "is missing; to delete a record, call Delete"))?;
    let namespace = config.namespace(address.namespace());
    let write = Write {
        precondition: precondition(request.precondition.as_ref(), &address, "precondition")?,
        value: Some(content(value, config, "value")?),
        expires: spans::expiry(request.ttl.as_ref(), namespace, now, "ttl")?,
        address,
    };
    let terms = Terms { write_id: &request.write_id, durability: request.durability, lock: request.lock.as_ref() };
    terms.command(caller, vec![write], config, now)
}

pub(in crate::grpc) fn delete(
    caller: &Caller,
    request: pb::DeleteRequest,
    config: &Config,
    now: Micros,
) -> Result<Command, Error> {
    let address = address(caller.tenant()?, request.address.as_ref(), "address")?;
    let precondition = precondition(request.precondition.as_ref(), &address, "precondition")?;
    let write = deletion(address, precondition, "precondition")?;
    let terms = Terms { write_id: &request.write_id, durability: request.durability, lock: request.lock.as_ref() };
    terms.command(caller, vec![write], config, now)
}

pub(in crate::grpc) fn batch_put(
    caller: &Caller,
    request: pb::BatchPutRequest,
    config: &Config,
    now: Micros,
) -> Result<Command, Error> {
    let tenant = caller.tenant()?;
    Partition::new(tenant, &request.namespace, &request.partition).map_err(|bad| named("", &bad))?;
    match request.writes.len() {
        0 => return Err(Error::invalid("writes", "are none")),
        many if many > BATCH_PUT_MAX => return Err(Error::invalid("writes", format!("are more than {BATCH_PUT_MAX}"))),
        _ => {}
    }
    let namespace = config.namespace(&request.namespace);
    let mut keys = HashSet::new();
    let mut writes = Vec::with_capacity(request.writes.len());
    for (place, write) in request.writes.into_iter().enumerate() {
        let field = |name: &str| format!("writes[{place}].{name}");
        let address = Address::new(tenant, &request.namespace, &request.partition, &write.key)
            .map_err(|bad| Error::invalid(field(bad.part), bad.why))?;
        if !keys.insert(write.key) {
            return Err(Error::invalid(field("key"), "is written twice in one batch"));
        }
        let precondition = precondition(write.precondition.as_ref(), &address, &field("precondition"))?;
        writes.push(match write.value {
            None if write.ttl.is_some() => return Err(Error::invalid(field("ttl"), "is for a record that is written")),
            None => deletion(address, precondition, &field("precondition"))?,
            Some(value) => Write {
                precondition,
                value: Some(content(value, config, &field("value"))?),
                expires: spans::expiry(write.ttl.as_ref(), namespace, now, &field("ttl"))?,
                address,
            },
        });
    }
    let terms = Terms { write_id: &request.write_id, durability: request.durability, lock: request.lock.as_ref() };
    terms.command(caller, writes, config, now)
}

fn deletion(address: Address, precondition: Precondition, field: &str) -> Result<Write, Error> {
    match precondition {
        Precondition::Absent => Err(Error::invalid(field, "is missing: a record that is deleted must exist")),
        precondition => Ok(Write { address, precondition, value: None, expires: None }),
    }
}

/// What every kind of write says of itself.
struct Terms<'r> {
    write_id: &'r str,
    durability: i32,
    lock: Option<&'r pb::LockGuard>,
}

impl Terms<'_> {
    fn command(&self, caller: &Caller, writes: Vec<Write>, config: &Config, now: Micros) -> Result<Command, Error> {
        let write_id = match self.write_id {
            "" => None,
            text => Some(Uuid::try_parse(text).map_err(|_| Error::invalid("write_id", "is not a UUID"))?),
        };
        let first = writes.first().map(|write| &write.address);
        let namespace = first.and_then(|address| config.namespace(address.namespace()));
        let durability = match pb::Durability::try_from(self.durability) {
            Ok(pb::Durability::Unspecified) => {
                namespace.and_then(|settings| settings.durability).unwrap_or(Durability::Durable)
            }
            Ok(pb::Durability::Durable) => Durability::Durable,
            Ok(pb::Durability::Cached) => Durability::Cached,
            Err(_) => return Err(Error::invalid("durability", "is none that this service knows")),
        };
        let guard = match (self.lock, first) {
            (Some(lock), Some(address)) => Some(guard(&address.in_partition(), lock)?),
            _ => None,
        };
        let invocation_id =
            caller.lease.as_ref().map_or_else(|| Arc::from(""), |lease| lease.invocation_id.as_str().into());
        Ok(Command { writes, guard, write_id, invocation_id, durability, now })
    }
}

fn guard(partition: &Partition, lock: &pb::LockGuard) -> Result<Guard, Error> {
    if lock.fence == 0 {
        return Err(Error::invalid("lock.fence", "is missing: carry the one that AcquireLock gave"));
    }
    Ok(Guard { address: lock_address(partition, &lock.name, "lock.name")?, revision: lock.fence })
}

fn content(value: pb::Value, config: &Config, field: &str) -> Result<domain::Value, Error> {
    let most = config.value_max.bytes();
    if value.data.len() > most {
        let why = format!("has {} bytes, and {most} are the most (state.value_max)", value.data.len());
        return Err(Error::invalid(format!("{field}.data"), why));
    }
    if value.content_type.len() > CONTENT_TYPE_BYTES_MAX {
        return Err(Error::invalid(format!("{field}.content_type"), "is longer than 256 bytes"));
    }
    // A copy: what came from the socket shares its buffer with its neighbours, and would keep all of it in the cache.
    Ok(domain::Value { data: Bytes::copy_from_slice(&value.data), content_type: value.content_type.into() })
}

fn precondition(given: Option<&pb::Precondition>, address: &Address, field: &str) -> Result<Precondition, Error> {
    match given.and_then(|given| given.precondition.as_ref()) {
        None => Ok(Precondition::Absent),
        Some(precondition::Precondition::Overwrite(_)) => Ok(Precondition::Overwrite),
        Some(precondition::Precondition::Version(bytes)) => Vector::from_version(bytes, address.tag())
            .map(Precondition::Version)
            .map_err(|bad| Error::invalid(format!("{field}.version"), bad.to_string())),
    }
}
