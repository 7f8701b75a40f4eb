//! Writes from the wire.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;
use holdfast_proto::state::v1::{self as pb, precondition};
use holdfast_rpc::{Caller, Error};
use uuid::Uuid;

use super::{address, named};
use crate::{
    config::Config,
    domain::{self, Address, Micros, Partition, Precondition, Vector},
    write::{Command, Durability, Write},
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
    let write = Write {
        precondition: precondition(request.precondition.as_ref(), &address, "precondition")?,
        value: Some(content(value, config, "value")?),
        expires: None,
        address,
    };
    command(caller, vec![write], &request.write_id, request.durability, config, now)
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
    command(caller, vec![write], &request.write_id, request.durability, config, now)
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
            None => deletion(address, precondition, &field("precondition"))?,
            Some(value) => {
                Write { address, precondition, value: Some(content(value, config, &field("value"))?), expires: None }
            }
        });
    }
    command(caller, writes, &request.write_id, request.durability, config, now)
}

fn deletion(address: Address, precondition: Precondition, field: &str) -> Result<Write, Error> {
    match precondition {
        Precondition::Absent => Err(Error::invalid(field, "is missing: a record that is deleted must exist")),
        precondition => Ok(Write { address, precondition, value: None, expires: None }),
    }
}

fn command(
    caller: &Caller,
    writes: Vec<Write>,
    write_id: &str,
    durability: i32,
    config: &Config,
    now: Micros,
) -> Result<Command, Error> {
    let write_id = match write_id {
        "" => None,
        text => Some(Uuid::try_parse(text).map_err(|_| Error::invalid("write_id", "is not a UUID"))?),
    };
    let namespace = writes.first().and_then(|write| config.namespace(write.address.namespace()));
    let durability = match pb::Durability::try_from(durability) {
        Ok(pb::Durability::Unspecified) => {
            namespace.and_then(|settings| settings.durability).unwrap_or(Durability::Durable)
        }
        Ok(pb::Durability::Durable) => Durability::Durable,
        Ok(pb::Durability::Cached) => Durability::Cached,
        Err(_) => return Err(Error::invalid("durability", "is none that this service knows")),
    };
    let invocation_id =
        caller.lease.as_ref().map_or_else(|| Arc::from(""), |lease| lease.invocation_id.as_str().into());
    Ok(Command { writes, guard: None, write_id, invocation_id, durability, now })
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
