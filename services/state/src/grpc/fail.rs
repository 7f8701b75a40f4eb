//! Failures on the wire.

use std::time::Duration;

use holdfast_proto::state::v1 as pb;
use holdfast_rpc::Error;
use holdfast_storage::Class;
use prost::Message as _;
use tonic::{Code, Status};

use super::convert;
use crate::{
    domain::{Address, HIDDEN, Note, Standing},
    failed::Failed,
    store::Unstored,
    write::{Current, Refusal},
};

/// When to come back to a service that is ending: another one is there by then.
const RESTART: Duration = Duration::from_secs(1);

/// An error's details travel as metadata, of which common clients take 8 KiB, encoded in base64 and with the rest.
const DETAIL_BYTES_MAX: usize = 4_500;
/// Of these, for the record; a larger value is left out.
const RECORD_BYTES_MAX: usize = 3_500;
/// An address in a message is for people.
const ADDRESS_CHARS_MAX: usize = 120;

pub(super) fn status(failed: Failed) -> Status {
    error(failed).into()
}

fn error(failed: Failed) -> Error {
    match failed {
        Failed::Refused(refusal) => refused(*refusal),
        Failed::Fenced(standing) => Error::precondition("FENCED", fenced(standing)),
        Failed::Store(unstored) => store(unstored),
        Failed::Full { retry_after } => Error::exhausted("too many writes wait for the store", retry_after),
        Failed::LockHeld { retry_after } => {
            Error::precondition("LOCK_HELD", "another has the lock").come_back_in(retry_after)
        }
        Failed::HistoryGone => {
            let why = "the history does not go back so far: read again, and watch from there";
            Error::new(Code::OutOfRange, "HISTORY_GONE", why)
        }
        Failed::Elsewhere => Error::unavailable("another place decides about state now", RESTART),
        Failed::Closed { in_doubt } => doubt(Error::unavailable("the state service is ending", RESTART), in_doubt),
    }
}

fn refused(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Conflict { current, since, may_have_happened } => {
            let mut detail =
                pb::Conflict { current: Some(record(&current)), writers_since: Vec::new(), may_have_happened };
            detail.writers_since = fitting(&since, DETAIL_BYTES_MAX.saturating_sub(detail.encoded_len()));
            let message = format!("{} has moved on", brief(&current.address));
            doubt(Error::aborted(message, &detail), may_have_happened)
        }
        Refusal::Lost { presented, current } => {
            let detail = pb::Loss {
                presented: presented.to_string(),
                held: current.vector.to_string(),
                current: Some(record(&current)),
            };
            let message = format!("the version of {} names a write that was lost", brief(&current.address));
            Error::data_loss(message, &detail)
        }
        Refusal::NotThere { address } => not_there(&address),
        Refusal::LockLost { address } => {
            let name = address.key().rsplit(HIDDEN).next().unwrap_or_default();
            Error::precondition("LOCK_LOST", format!("the lock {name:?} is another's, or nobody's"))
        }
    }
}

/// A wait or a stream that ends with this process: the next one is to be had elsewhere.
pub(super) fn draining() -> Status {
    Error::unavailable("the state service is draining; go on elsewhere", RESTART).into()
}

pub(super) fn too_many_watch() -> Status {
    Error::exhausted("as many watch as may (state.watches_max)", RESTART).into()
}

pub(super) fn not_there(address: &Address) -> Error {
    Error::not_found(format_args!("record {}", brief(address)))
}

fn brief(address: &Address) -> String {
    let text = format!("{address:?}");
    match text.char_indices().nth(ADDRESS_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The newest writers, as many as so many bytes hold.
fn fitting(since: &[Note], mut bytes: usize) -> Vec<pb::Writer> {
    let writers = since.iter().map(|note| convert::writer(&note.writer));
    writers
        .take_while(|writer| {
            let wanted = writer.encoded_len() + 3;
            let fits = wanted <= bytes;
            bytes = bytes.saturating_sub(wanted);
            fits
        })
        .collect()
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
        Some(edition) => {
            let record = convert::record(&current.address, edition);
            if record.value.is_some() && record.encoded_len() > RECORD_BYTES_MAX {
                pb::Record { value: None, value_omitted: true, ..record }
            } else {
                record
            }
        }
        None => pb::Record {
            address: Some(convert::wire_address(&current.address)),
            version: current.vector.to_version(current.address.tag()).into(),
            ..pb::Record::default()
        },
    }
}
