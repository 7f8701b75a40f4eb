//! Writes answers to the wire: as server-sent events, or cut off where a fault wants it.

use std::{io, iter::Peekable, time::Duration, vec};

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use futures::{StreamExt, stream};
use serde_json::Value;
use tokio::time::Instant;

use super::{
    answer::{Beat, Completion},
    place::Place,
    protocol::Protocol,
};
use crate::faults::late;

/// Events that are due together go out together, up to so many bytes.
const BATCH_BYTES: usize = 8 << 10;

/// Where a stream breaks off, and whether it says so.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    pub(crate) after: usize,
    pub(crate) says: bool,
}

struct Writing {
    protocol: Protocol,
    completion: Completion,
    place: Option<Place>,
    beats: Peekable<vec::IntoIter<(Beat, u64)>>,
    /// The next token is due so long after the last one: counted from here, so that no pause adds to the next.
    began: Instant,
    per_token: Duration,
    written: u64,
    /// Events until it breaks off.
    left: usize,
    cut: Option<Cut>,
}

/// An answer event by event.
pub(crate) fn stream(
    protocol: Protocol,
    place: Place,
    (completion, usage): (Completion, bool),
    per_token: Duration,
    cut: Option<Cut>,
) -> Response {
    let mut beats = completion.beats();
    beats.retain(|(beat, _)| protocol.has(*beat, usage));
    let writing = Writing {
        protocol,
        completion,
        place: Some(place),
        beats: beats.into_iter().peekable(),
        began: Instant::now(),
        per_token,
        written: 0,
        left: cut.map_or(usize::MAX, |cut| cut.after),
        cut,
    };
    let mut response = Body::from_stream(stream::unfold(writing, Writing::next)).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

impl Writing {
    async fn next(mut self) -> Option<(io::Result<Bytes>, Self)> {
        if self.breaks_off() {
            return self.break_off().await;
        }
        self.due().await;
        let (mut text, mut tokens) = (String::new(), 0);
        while text.len() < BATCH_BYTES && !self.breaks_off() && self.until_due().is_zero() {
            let Some((beat, more)) = self.beats.next() else { break };
            self.protocol.event(&self.completion, beat, &mut text);
            self.written += more;
            tokens += more;
            self.left = self.left.saturating_sub(1);
        }
        let ends = self.beats.peek().is_none();
        if let Some(place) = &self.place {
            place.write(tokens);
        }
        if ends {
            // Free before the last bytes go out: who has the answer may come again at once.
            self.place.take()?.answered();
        }
        Some((Ok(text.into()), self))
    }

    /// What is cut has its mark of the end never, however long it would have been.
    fn breaks_off(&mut self) -> bool {
        self.left == 0 && self.beats.peek().is_some_and(|(beat, _)| *beat != Beat::End)
    }

    async fn break_off(mut self) -> Option<(io::Result<Bytes>, Self)> {
        drop(self.place.take()?);
        let says = self.cut.is_some_and(|cut| cut.says);
        let last = if says { Ok(self.protocol.event_of_failure().into()) } else { Err(cut_off().await) };
        Some((last, self))
    }

    async fn due(&mut self) {
        late(self.until_due()).await;
    }

    fn until_due(&mut self) -> Duration {
        let next = self.beats.peek().map_or(0, |(_, tokens)| *tokens);
        let tokens = u32::try_from(self.written + next).unwrap_or(u32::MAX);
        (self.began + self.per_token.saturating_mul(tokens)).saturating_duration_since(Instant::now())
    }
}

/// The first half of a whole answer, and then nothing.
pub(crate) fn half(place: Place, whole: &Value) -> Response {
    let mut text = whole.to_string().into_bytes();
    text.truncate(text.len() / 2);
    let head = stream::once(async { Ok(Bytes::from(text)) });
    let end = stream::once(async move {
        drop(place);
        Err(cut_off().await)
    });
    let mut response = Body::from_stream(head.chain(end)).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The error that closes the connection, once what was written before it is on its way.
pub(crate) async fn cut_off() -> io::Error {
    tokio::task::yield_now().await;
    io::Error::other("cut off by a fault")
}
