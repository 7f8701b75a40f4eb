//! The news of the breakers as a stream.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt as _, stream};
use holdfast_proto::tool::v1::WatchCircuitsResponse;
use holdfast_rpc::{Error, service::Stop};
use tokio_stream::wrappers::BroadcastStream;
use tonic::Status;

use crate::circuits::{Circuit, Circuits};

/// When a watcher may come back to a process that drains.
const RETRY_AFTER: Duration = Duration::from_secs(1);

type News = Pin<Box<dyn Stream<Item = Result<WatchCircuitsResponse, Status>> + Send>>;

/// How everything stands, then each change. A watcher that fell behind is told how everything stands again.
pub(super) fn watch(circuits: Arc<Circuits>, stop: Stop) -> News {
    // First the ears, then the look: what changes in between is told twice rather than never.
    let changes = BroadcastStream::new(circuits.watch());
    let first = stream::iter(circuits.list());
    let later = changes.flat_map(move |change| stream::iter(change.map_or_else(|_| circuits.list(), |one| vec![one])));
    let draining = Error::unavailable("the tool-proxy is draining", RETRY_AFTER);
    let last = stream::once(async move { Err(Status::from(draining)) });
    let news = first.chain(later).map(|circuit| Ok(told(circuit)));
    Box::pin(news.take_until(async move { stop.cancelled().await }).chain(last))
}

fn told(circuit: Circuit) -> WatchCircuitsResponse {
    WatchCircuitsResponse { circuit: Some(circuit.into()) }
}
