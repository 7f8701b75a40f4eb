//! Events on their way to a watcher.

use std::pin::Pin;

use futures::{Stream, StreamExt as _, stream};
use holdfast_proto::gateway::v1 as pb;
use holdfast_proto::queue::v1 as queue;
use holdfast_rpc::service::Stop;
use holdfast_rpc::{Error, status};
use tonic::{Status, Streaming};

use super::answers::RETRY_AFTER;

/// The stream that a watcher gets.
pub(crate) type Events = Pin<Box<dyn Stream<Item = Result<pb::WatchInvocationResponse, Status>> + Send>>;

/// The queue's events; a drain ends them with a word, and the watcher goes on from its next offset elsewhere.
pub(super) fn until_stop(events: Streaming<queue::WatchInvocationResponse>, stop: Stop) -> Events {
    let events = events.map(|event| match event {
        Ok(queue::WatchInvocationResponse { event }) => Ok(pb::WatchInvocationResponse { event }),
        Err(refused) if status::reason(&refused).is_some() => Err(refused),
        Err(_) => Err(Error::unavailable("the connection to the queue broke; watch on from here", RETRY_AFTER).into()),
    });
    let drained = stop.clone();
    let last_word = stream::once(async move {
        drained
            .is_cancelled()
            .then(|| Err(Error::unavailable("the gateway is draining; watch on elsewhere", RETRY_AFTER).into()))
    });
    Box::pin(events.take_until(stop.cancelled_owned()).chain(last_word.filter_map(std::future::ready)))
}
