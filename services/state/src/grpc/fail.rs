//! Failures on the wire.

use std::time::Duration;

use holdfast_proto::state::v1 as pb;
use holdfast_rpc::Error;
use holdfast_storage::Class;
use tonic::Status;

use super::convert;
use crate::{
    domain::Standing,
    state::Failed,
    store::Unstored,
    write::{Current, Refusal},
};

/// When to come back to a service that is ending: another one is there by then.
const RESTART: Duration = Duration::from_secs(1);

pub(super) fn status(failed: Failed) -> Status {
    error(failed).into()
}

fn error(failed: Failed) -> Error {
    match failed {
        Failed::Refused(refusal) => refused(*refusal),
        Failed::Fenced(standing) => Error::precondition("FENCED", fenced(standing)),
        Failed::Store(unstored) => store(unstored),
        Failed::Full { retry_after } => Error::exhausted("too many writes wait for the store", retry_after),
        Failed::Closed { in_doubt } => doubt(Error::unavailable("the state service is ending", RESTART), in_doubt),
    }
}

fn refused(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Conflict { current, since, may_have_happened } => {
            let detail = pb::Conflict {
                current: Some(record(&current)),
                writers_since: since.iter().map(|note| convert::writer(&note.writer)).collect(),
                may_have_happened,
            };
            doubt(Error::aborted(format!("{:?} has moved on", current.address), &detail), may_have_happened)
        }
        Refusal::Lost { presented, current } => {
            let detail = pb::Loss {
                presented: presented.to_string(),
                held: current.vector.to_string(),
                current: Some(record(&current)),
            };
            let message = format!("the version of {:?} names a write that was lost", current.address);
            Error::data_loss(message, &detail)
        }
        Refusal::NotThere { address } => Error::not_found(format_args!("record {address:?}")),
    }
}

fn fenced(standing: Standing) -> &'static str {
    match standing {
        Standing::TooOld => "the lease is older than what is remembered of fences",
        Standing::Superseded | Standing::Newer | Standing::Holds => "another lease has superseded this one",
    }
}

fn store(unstored: Unstored) -> Error {
    let Unstored { failure, in_doubt } = unstored;
    let away = |why: &str, wait| Error::unavailable(format!("the store {why}"), wait);
    let error = match (failure.class(), failure.retry_after()) {
        (Class::Full, Some(wait)) => away("has no space left", wait),
        (Class::ReadOnly, Some(wait)) => away("cannot be written", wait),
        (Class::Overloaded, Some(wait)) => away("has too much to read", wait),
        (_, Some(wait)) => away("does not answer as it should", wait),
        (_, None) => Error::internal(failure),
    };
    doubt(error, in_doubt)
}

fn doubt(error: Error, in_doubt: bool) -> Error {
    if in_doubt { error.maybe_happened() } else { error }
}

fn record(current: &Current) -> pb::Record {
    match &current.edition {
        Some(edition) => convert::record(&current.address, edition),
        None => pb::Record {
            address: Some(convert::wire_address(&current.address)),
            version: current.vector.to_version(current.address.tag()).into(),
            ..pb::Record::default()
        },
    }
}
