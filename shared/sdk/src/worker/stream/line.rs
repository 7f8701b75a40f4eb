//! The way up of one stream, and what breaks it.

use holdfast_proto::queue::v1::{WorkRequest, work_request::Message as Up};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::Error;

/// Messages of one stream that may wait to be sent, beside two for each lease: a report and a heartbeat's share.
const UNSENT_SPARE: usize = 64;

pub(crate) struct Line {
    up: mpsc::Sender<WorkRequest>,
}

impl Line {
    /// A line, and what comes out at its end.
    pub(crate) fn new(concurrency: u32) -> (Self, ReceiverStream<WorkRequest>) {
        let (up, unsent) = mpsc::channel(2 * concurrency as usize + UNSENT_SPARE);
        (Self { up }, ReceiverStream::new(unsent))
    }

    /// Hands messages to the connection, which sends them in order. One that takes nothing any more counts as broken.
    pub(crate) fn send(&self, messages: impl IntoIterator<Item = Up>) -> Result<(), Error> {
        let hand = |message| self.up.try_send(WorkRequest { message: Some(message) }).map_err(|_| silent());
        messages.into_iter().try_for_each(hand)
    }
}

pub(crate) fn silent() -> Error {
    broken("the queue does not answer")
}

pub(crate) fn closed() -> Error {
    broken("the queue closed the stream")
}

fn broken(message: &str) -> Error {
    Error::Unavailable { retry_after: None, may_have_happened: true, invocation_id: None, message: message.into() }
}
