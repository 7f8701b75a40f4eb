//! Between the wire and the domain.

mod commands;
mod locks;
mod past;
mod spans;

use holdfast_proto::state::v1 as pb;
use holdfast_rpc::{
    Error,
    lease::{self, LeaseToken},
    time::timestamp,
};

use crate::{
    domain::{self, Address, BadName, Edition, LAST_HIDDEN, Partition},
    store::{FenceScope, Page, PageQuery},
    write::{Command, Durability, Holder, Written},
};

pub(super) use commands::{batch_put, delete, put};
pub(super) use locks::{acquire, lock, locks, locks_query, release, renewal};
pub(super) use past::{at_version, edition, history, history_query};
pub(super) use spans::staleness;

const BATCH_GET_MAX: usize = 1_000;
const PAGE_DEFAULT: usize = 100;
const PAGE_MAX: usize = 1_000;
/// A page ends behind the record that reaches this: the largest message that clients take by default is 4 MiB.
const PAGE_BYTES: usize = 2 << 20;

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

pub(super) fn partition(tenant: &str, namespace: &str, partition: &str) -> Result<Partition, Error> {
    Partition::new(tenant, namespace, partition).map_err(|bad| named("", &bad))
}

pub(super) fn page_query(tenant: &str, request: pb::ListRequest) -> Result<PageQuery, Error> {
    Ok(PageQuery {
        partition: partition(tenant, &request.namespace, &request.partition)?,
        prefix: request.key_prefix,
        after: behind_hidden(request.page_token),
        records: page_size(request.page_size)?,
        bytes: PAGE_BYTES,
    })
}

/// How many are on a page.
fn page_size(asked: u32) -> Result<usize, Error> {
    match asked as usize {
        0 => Ok(PAGE_DEFAULT),
        size if size > PAGE_MAX => Err(Error::invalid("page_size", format!("is more than {PAGE_MAX}"))),
        size => Ok(size),
    }
}

/// A record of a partition that is known already.
pub(super) fn record_of(partition: &Partition, key: &str, field: &str) -> Result<Address, Error> {
    Address::new(partition.tenant(), partition.namespace(), partition.name(), key)
        .map_err(|bad| Error::invalid(field, bad.why))
}

/// The record of a lock, whose name obeys the rules of keys.
fn lock_address(partition: &Partition, name: &str, field: &str) -> Result<Address, Error> {
    record_of(partition, name, field)?;
    Ok(partition.hidden("lock", name))
}

/// Records of the service's own are on no page of a caller's.
fn behind_hidden(token: String) -> String {
    if token.as_str() < LAST_HIDDEN { LAST_HIDDEN.to_owned() } else { token }
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
        expire_time: edition.expires.map(timestamp),
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
