//! Between the wire and the domain.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;
use holdfast_proto::state::v1::{self as pb, precondition};
use holdfast_rpc::{
    Caller, Error,
    lease::{self, LeaseToken},
    time::timestamp,
};
use uuid::Uuid;

use crate::{
    config::Config,
    domain::{self, Address, BadName, Edition, Micros, Partition, Precondition, Vector},
    fences::Holder,
    store::{FenceScope, Page, PageQuery},
    write::{Command, Durability, Write, Written},
};

const BATCH_GET_MAX: usize = 1_000;
const BATCH_PUT_MAX: usize = 100;
const PAGE_DEFAULT: usize = 100;
const PAGE_MAX: usize = 1_000;
/// A page ends behind the record that reaches this: the largest message that clients take by default is 4 MiB.
const PAGE_BYTES: usize = 2 << 20;
const CONTENT_TYPE_BYTES_MAX: usize = 256;

fn named(prefix: &str, bad: &BadName) -> Error {
    let separator = if prefix.is_empty() { "" } else { "." };
    Error::invalid(format!("{prefix}{separator}{}", bad.part), bad.why)
}

pub(super) fn address(tenant: &str, address: Option<&pb::Address>, field: &str) -> Result<Address, Error> {
    let address = address.ok_or_else(|| Error::invalid(field, "is missing"))?;
    Address::new(tenant, &address.namespace, &address.partition, &address.key).map_err(|bad| named(field, &bad))
}

pub(super) fn addresses(tenant: &str, list: &[pb::Address]) -> Result<Vec<Address>, Error> {
    if list.len() > BATCH_GET_MAX {
        return Err(Error::invalid("addresses", format!("are more than {BATCH_GET_MAX}")));
    }
    let each = list.iter().enumerate();
    each.map(|(place, one)| address(tenant, Some(one), &format!("addresses[{place}]"))).collect()
}

pub(super) fn put(caller: &Caller, request: pb::PutRequest, config: &Config, now: Micros) -> Result<Command, Error> {
    let address = address(caller.tenant()?, request.address.as_ref(), "address")?;
    let value = request.value.ok_or_else(|| Error::invalid("value", "is missing; to delete a record, call Delete"))?;
    let write = Write {
        precondition: precondition(request.precondition.as_ref(), &address, "precondition")?,
        value: Some(content(value, config, "value")?),
        address,
    };
    command(caller, vec![write], &request.write_id, request.durability, config, now)
}

pub(super) fn delete(
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

pub(super) fn batch_put(
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
            Some(value) => Write { address, precondition, value: Some(content(value, config, &field("value"))?) },
        });
    }
    command(caller, writes, &request.write_id, request.durability, config, now)
}

fn deletion(address: Address, precondition: Precondition, field: &str) -> Result<Write, Error> {
    match precondition {
        Precondition::Absent => Err(Error::invalid(field, "is missing: a record that is deleted must exist")),
        precondition => Ok(Write { address, precondition, value: None }),
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
    Ok(Command { writes, write_id, invocation_id, durability, now })
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

pub(super) fn page_query(tenant: &str, request: pb::ListRequest) -> Result<PageQuery, Error> {
    let partition = Partition::new(tenant, &request.namespace, &request.partition).map_err(|bad| named("", &bad))?;
    let records = match request.page_size as usize {
        0 => PAGE_DEFAULT,
        size if size > PAGE_MAX => return Err(Error::invalid("page_size", format!("is more than {PAGE_MAX}"))),
        size => size,
    };
    Ok(PageQuery { partition, prefix: request.key_prefix, after: request.page_token, records, bytes: PAGE_BYTES })
}

pub(super) fn page(page: &Page) -> pb::ListResponse {
    let last = page.records.last().filter(|_| page.more);
    pb::ListResponse {
        records: page.records.iter().map(|(address, edition)| record(address, edition)).collect(),
        next_page_token: last.map(|(address, _)| address.key().to_owned()).unwrap_or_default(),
    }
}

pub(super) fn wire_address(address: &Address) -> pb::Address {
    pb::Address {
        namespace: address.namespace().to_owned(),
        partition: address.partition().to_owned(),
        key: address.key().to_owned(),
    }
}

pub(super) fn record(address: &Address, edition: &Edition) -> pb::Record {
    pb::Record {
        address: Some(wire_address(address)),
        value: edition
            .value
            .as_ref()
            .map(|value| pb::Value { data: value.data.clone(), content_type: value.content_type.as_ref().to_owned() }),
        version: edition.vector.to_version(address.tag()).into(),
        revision: edition.revision,
        writer: Some(writer(&edition.writer)),
        value_omitted: false,
    }
}

pub(super) fn writer(writer: &domain::Writer) -> pb::Writer {
    pb::Writer {
        write_id: writer.write_id.to_string(),
        invocation_id: writer.invocation_id.as_ref().to_owned(),
        time: Some(timestamp(writer.time)),
    }
}

pub(super) fn durability(durability: Durability) -> pb::Durability {
    match durability {
        Durability::Durable => pb::Durability::Durable,
        Durability::Cached => pb::Durability::Cached,
    }
}

pub(super) fn put_response(command: &Command, written: &Written) -> pb::PutResponse {
    let mut response = pb::PutResponse { durability: durability(written.durability).into(), ..Default::default() };
    if let (Some(write), Some(record)) = (command.writes.first(), written.records.first()) {
        response.version = record.vector.to_version(write.address.tag()).into();
        response.revision = record.revision;
    }
    response
}

pub(super) fn batch_put_response(command: &Command, written: &Written) -> pb::BatchPutResponse {
    let each = command.writes.iter().zip(&written.records);
    let written_records = each.map(|(write, record)| pb::batch_put_response::Written {
        key: write.address.key().to_owned(),
        version: record.vector.to_version(write.address.tag()).into(),
        revision: record.revision,
    });
    pb::BatchPutResponse { written: written_records.collect(), durability: durability(written.durability).into() }
}

/// The lease as far as fences are concerned.
pub(super) fn holder(lease: &LeaseToken) -> Holder {
    Holder { scope: scope(&lease.tenant, &lease.scope()), number: lease.fence, lease: lease.lease_id.as_str().into() }
}

pub(super) fn raise(request: pb::RaiseFenceRequest) -> Result<(FenceScope, u64), Error> {
    if request.tenant.is_empty() {
        return Err(Error::invalid("tenant", "is empty"));
    }
    let within = match (request.session.is_empty(), request.invocation_id.is_empty()) {
        (false, true) => lease::FenceScope::Session(request.session),
        (true, false) => lease::FenceScope::Invocation(request.invocation_id),
        _ => return Err(Error::invalid("session", "either a session or a lone invocation is to be named")),
    };
    if i64::try_from(request.fence).is_err() {
        return Err(Error::invalid("fence", "is not a time in microseconds"));
    }
    Ok((scope(&request.tenant, &within), request.fence))
}

fn scope(tenant: &str, scope: &lease::FenceScope) -> FenceScope {
    let name = match scope {
        lease::FenceScope::Session(session) => format!("session:{session}"),
        lease::FenceScope::Invocation(id) => format!("invocation:{id}"),
    };
    FenceScope { tenant: tenant.into(), name: name.into() }
}
