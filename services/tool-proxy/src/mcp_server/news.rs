//! The news that the list of tools has changed, as a stream for older clients.

use std::convert::Infallible;

use axum::response::sse::{Event, KeepAlive, Sse};
use futures::{Stream, StreamExt as _};
use holdfast_rpc::service::Stop;
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;

const CHANGED: &str = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;

/// Each change from now on, until the process drains. Changes that nobody has read yet are one.
pub(super) fn stream(changes: watch::Receiver<u64>, stop: Stop) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let told = WatchStream::from_changes(changes).map(|_| Ok(Event::default().data(CHANGED)));
    Sse::new(told.take_until(stop.cancelled_owned())).keep_alive(KeepAlive::default())
}
