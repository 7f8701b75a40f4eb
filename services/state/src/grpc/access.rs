//! Who may do what.

use holdfast_rpc::{Caller, Error, Role};

use super::convert;
use crate::{
    config::Config,
    domain::Partition,
    write::{Command, Holder},
};

/// Namespaces of the mesh itself.
const RESERVED: &str = "holdfast.";

/// The lease under which a caller acts. A worker acts under nothing else.
///
/// # Errors
/// LEASE_REQUIRED.
pub(super) fn author(caller: &Caller) -> Result<Option<Holder>, Error> {
    match &caller.lease {
        None if caller.role == Role::Worker => Err(lease_required()),
        lease => Ok(lease.as_ref().map(convert::holder)),
    }
}

pub(super) fn lease_required() -> Error {
    Error::precondition("LEASE_REQUIRED", "a worker acts under a lease: send its token as holdfast-lease")
}

/// Whether a caller may write where the command writes.
///
/// # Errors
/// PERMISSION_DENIED.
pub(super) fn may_write(caller: &Caller, command: &Command, config: &Config) -> Result<(), Error> {
    match command.writes.first() {
        Some(first) => may_write_to(caller, &first.address.in_partition(), config),
        None => Ok(()),
    }
}

/// Whether a caller may write to a partition, or lock what is in it.
///
/// # Errors
/// PERMISSION_DENIED.
pub(super) fn may_write_to(caller: &Caller, partition: &Partition, config: &Config) -> Result<(), Error> {
    let (namespace, partition) = (partition.namespace(), partition.name());
    if namespace.starts_with(RESERVED) && !caller.is_mesh() {
        let own = caller.lease.as_ref().is_some_and(|lease| lease.invocation_id == partition);
        if !own {
            let why = "namespaces that begin with holdfast. are the mesh's own: only an invocation's lease writes to its partition";
            return Err(Error::permission_denied(why));
        }
    }
    if config.namespace(namespace).is_some_and(|settings| settings.read_only) && caller.role != Role::Operator {
        return Err(Error::permission_denied(format!(
            "the namespace {namespace:?} is read-only: operators write to it"
        )));
    }
    Ok(())
}

/// Whether a caller may end a tenant's leases.
///
/// # Errors
/// PERMISSION_DENIED.
pub(super) fn may_raise(caller: &Caller, tenant: &str) -> Result<(), Error> {
    if caller.named_tenant().is_some_and(|named| named != tenant) {
        return Err(Error::permission_denied("these are another tenant's leases"));
    }
    if caller.is_mesh() || caller.role == Role::Operator {
        return Ok(());
    }
    Err(Error::permission_denied("the queue ends leases; cancel the invocation instead"))
}
