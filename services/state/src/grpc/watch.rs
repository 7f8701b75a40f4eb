//! Changes as a stream.

use std::pin::Pin;

use futures::{Stream, StreamExt as _, stream};
use holdfast_proto::state::v1 as pb;
use holdfast_rpc::{Error, service::Stop};
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;

use super::{convert, fail};
use crate::{
    domain::Vector,
    failed::Failed,
    watch::{Changed, Start, Token, WatchFrom},
};

pub(super) type Changes = Pin<Box<dyn Stream<Item = Result<pb::WatchResponse, Status>> + Send>>;

/// What is watched, and from where on.
///
/// # Errors
/// INVALID_ARGUMENT.
pub(super) fn from(tenant: &str, request: &pb::WatchRequest) -> Result<WatchFrom, Error> {
    let partition = convert::partition(tenant, &request.namespace, &request.partition)?;
    let record = match request.key.as_str() {
        "" => None,
        key => Some(convert::record_of(&partition, key, "key")?),
    };
    let start = match (request.after_token.as_str(), &record) {
        ("", _) if request.after_version.is_empty() => Start::Now,
        ("", Some(record)) => Vector::from_version(&request.after_version, record.tag())
            .map(Start::Version)
            .map_err(|bad| Error::invalid("after_version", bad.to_string()))?,
        ("", None) => return Err(Error::invalid("after_version", "is for a watch of one record: name its key")),
        _ if !request.after_version.is_empty() => {
            return Err(Error::invalid(
                "after_token",
                "does not go with after_version: one of them says where to begin",
            ));
        }
        (token, _) => Token::parse(token, &partition)
            .map(Start::Token)
            .map_err(|bad| Error::invalid("after_token", bad.to_string()))?,
    };
    Ok(WatchFrom { partition, record, start })
}

/// The stream for a reader: read on only as it takes, and ended by the drain. `place` is held until it is over.
pub(super) fn told(
    changes: impl Stream<Item = Result<Changed, Failed>> + Send + 'static,
    stop: Stop,
    place: OwnedSemaphorePermit,
) -> Changes {
    let last = stream::once(async { Err(fail::draining()) });
    let told = changes.map(move |changed| {
        let _held = &place;
        changed.map(message).map_err(fail::status)
    });
    // After an error of the watch's own, there is nothing more to say.
    let mut over = false;
    let told = told.take_until(stop.cancelled_owned()).chain(last);
    Box::pin(told.take_while(move |item| {
        let goes_on = !over;
        over = item.is_err();
        futures::future::ready(goes_on)
    }))
}

fn message(changed: Changed) -> pb::WatchResponse {
    pb::WatchResponse {
        edition: changed.change.map(|(address, edition)| convert::edition(&address, &edition)),
        token: changed.token.to_string(),
    }
}
