//! Server-sent events, read as they come: a piece of the wire may end anywhere.
//! Source: <https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream>

use std::{collections::VecDeque, fmt::Display, time::Duration};

use bytes::{Bytes, BytesMut};
use futures::stream::{self, Stream};
use http_body::Body;
use tokio::time::{Instant, timeout, timeout_at};

use super::{super::Failure, Settings, client, judge_said};
use crate::domain::Chunk;

/// How long the end of the connection's part is waited for after the end of the answer: a connection whose response was
/// read to its end is used again.
const TAIL: Duration = Duration::from_millis(100);
/// The most that is kept of what comes before the first event, and is none.
const INSTEAD_MAX: usize = 64 << 10;

/// Understands the events of one answer.
pub(crate) trait Reader: Send + 'static {
    /// What an event's data says, where it says anything.
    ///
    /// # Errors
    /// It is none of the protocol's, or says what went wrong.
    fn event(&mut self, data: Bytes) -> Result<Option<Chunk>, Failure>;

    /// Whether the provider has said that this was all.
    fn ended(&self) -> bool;

    /// Whether nothing is missing, should the wire end here without the provider's mark of the end.
    fn complete(&self) -> bool;
}

/// An answer in progress.
struct Flow<B, R> {
    body: B,
    events: Events<R>,
    /// What was read and not yet asked for: at most what came in one piece.
    ready: VecDeque<Chunk>,
    failure: Option<Failure>,
    first_by: Option<Instant>,
    idle_timeout: Duration,
}

/// The events of a stream, read when they are asked for.
pub(super) fn chunks<B, R>(
    body: B,
    reader: R,
    first_by: Instant,
    settings: &Settings,
) -> impl Stream<Item = Result<Chunk, Failure>> + Send + use<B, R>
where
    B: Body<Data = Bytes, Error: Display> + Send + Unpin,
    R: Reader,
{
    let flow = Flow {
        body,
        events: Events::new(reader, settings.answer_bytes_max),
        ready: VecDeque::new(),
        failure: None,
        first_by: Some(first_by),
        idle_timeout: settings.idle_timeout,
    };
    stream::unfold(Some(flow), |flow| async move { flow?.next().await })
}

impl<B: Body<Data = Bytes, Error: Display> + Unpin, R: Reader> Flow<B, R> {
    async fn next(mut self) -> Option<(Result<Chunk, Failure>, Option<Self>)> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                self.first_by = None;
                return Some((Ok(chunk), Some(self)));
            }
            if let Some(failure) = self.failure.take() {
                return Some((Err(failure), None));
            }
            if self.events.reader.ended() {
                let _ = timeout(TAIL, self.drain()).await;
                return None;
            }
            match self.read().await {
                Ok(Some(piece)) => self.failure = self.events.feed(piece, &mut self.ready).err(),
                Ok(None) if self.events.reader.complete() => return None,
                Ok(None) => {
                    let said = self.events.instead();
                    self.failure = Some(said.unwrap_or(Failure::Broken { how: "broke off" }));
                }
                Err(failure) => self.failure = Some(failure),
            }
        }
    }

    /// The next piece of the wire, which may take longer before the first event: the model thinks then.
    async fn read(&mut self) -> Result<Option<Bytes>, Failure> {
        let piece = client::piece(&mut self.body);
        let (read, how) = match self.first_by {
            Some(first_by) => (timeout_at(first_by, piece).await, "took too long"),
            None => (timeout(self.idle_timeout, piece).await, "fell silent"),
        };
        read.map_err(|_| Failure::Broken { how })?
    }

    async fn drain(&mut self) {
        while let Ok(Some(_)) = client::piece(&mut self.body).await {}
    }
}

/// Takes events out of the wire.
struct Events<R> {
    reader: R,
    /// What came after the last line's end.
    rest: BytesMut,
    /// What came before the first event: some answer with an error in one piece where a stream was asked for, and with a
    /// status of success.
    before: BytesMut,
    begun: bool,
    bytes: usize,
    bytes_max: usize,
}

impl<R: Reader> Events<R> {
    fn new(reader: R, bytes_max: usize) -> Self {
        Self { reader, rest: BytesMut::new(), before: BytesMut::new(), begun: false, bytes: 0, bytes_max }
    }

    /// Adds the events that are complete with this piece of the wire. What came before a failure stays.
    fn feed(&mut self, mut piece: Bytes, chunks: &mut VecDeque<Chunk>) -> Result<(), Failure> {
        self.bytes += piece.len();
        if self.bytes > self.bytes_max {
            return Err(Failure::Broken { how: "sent more than an answer may be" });
        }
        while let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            let mut line = piece.split_to(end + 1);
            if !self.rest.is_empty() {
                self.rest.extend_from_slice(&line);
                line = self.rest.split().freeze();
            }
            chunks.extend(self.line(line)?);
        }
        self.rest.extend_from_slice(&piece);
        Ok(())
    }

    /// What went wrong, where that is said instead of any event.
    fn instead(&mut self) -> Option<Failure> {
        let mut said = std::mem::take(&mut self.before);
        said.extend_from_slice(&self.rest);
        judge_said(&said).filter(|_| !self.begun)
    }

    /// One line. Each event of these protocols has one `data` line that says it all; comments and other fields are passed by.
    fn line(&mut self, line: Bytes) -> Result<Option<Chunk>, Failure> {
        let Some(data) = line.strip_prefix(b"data:") else {
            if !self.begun && self.before.len() + line.len() <= INSTEAD_MAX {
                self.before.extend_from_slice(&line);
            }
            return Ok(None);
        };
        self.begun = true;
        let data = data.trim_ascii();
        if data.is_empty() || self.reader.ended() {
            return Ok(None);
        }
        let data = line.slice_ref(data);
        self.reader.event(data)
    }
}

#[cfg(test)]
pub(crate) mod tests;
