//! What reads an answer from its provider. It goes on whether or not the caller reads: so the deadline holds, and a reader
//! who stands still does not keep a key's place for ever.

use std::{pin::pin, task::Poll, time::Duration};

use futures::StreamExt as _;
use holdfast_rpc::Error;
use holdfast_telemetry::redaction::Redaction;
use tokio::{
    sync::mpsc::{Permit, Sender},
    time::{Instant, sleep_until, timeout},
};
use tonic::Code;
use tracing::{Instrument as _, Span};

use super::super::{Reply, content, flight::Flight, spans};
use crate::{
    domain::{Answer, Chunk, Form, Part},
    metrics,
    model::Model,
    provider::{Chunks, Failure},
};

/// When to ask again after an answer that broke off.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// What is passed on at once, where so much is there: so much memory, however little text it is.
const BATCH_BYTES: usize = 8 << 10;
/// Bytes of a token, where only the text was seen.
const BYTES_PER_TOKEN: usize = 4;

/// An answer in progress.
pub(super) struct Flow {
    model: String,
    form: Form,
    chunks: Chunks,
    /// As far as it was heard.
    answer: Answer,
    flight: Flight,
    /// What came after the last batch: its end, or its failure.
    after: Option<Option<Failure>>,
    /// When the call ends, whatever there is still to say.
    ends: Instant,
    stall_max: Duration,
    span: Span,
    /// What of the answer may stand in the span, where any of it may.
    traced: Option<Redaction>,
}

/// What happens next.
enum Turn<'s> {
    Heard(Permit<'s, Vec<Chunk>>, Vec<Chunk>),
    Ended,
    Broke(Failure),
    Stalled,
    /// Nobody is there to read on.
    Alone,
    Late,
}

impl Flow {
    pub(super) fn new(
        model: &Model,
        form: Form,
        (chunks, flight): (Chunks, Flight),
        ends: Instant,
        stall_max: Duration,
    ) -> Self {
        let (answer, span, traced) = (Answer::default(), Span::current(), model.traced.clone());
        Self { model: model.name.clone(), form, chunks, answer, flight, after: None, ends, stall_max, span, traced }
    }

    /// Takes note of a chunk.
    pub(super) fn hear(&mut self, chunk: &Chunk) {
        for part in &chunk.parts {
            let bytes = match part {
                Part::Text(text) => text.len(),
                Part::ToolCall { name, arguments, .. } => name.len() + arguments.len(),
                Part::Finish(_) | Part::Usage(_) => 0,
            };
            self.flight.saw(bytes.div_ceil(BYTES_PER_TOKEN) as u64);
            // Who takes the provider's own words has them already: nothing is kept of them for the end.
            if bytes == 0 || self.form == Form::Said {
                self.answer.add(part);
            }
        }
    }

    /// Reads on, no further than one batch ahead of the caller.
    pub(super) async fn run(mut self, sender: Sender<Vec<Chunk>>) -> Result<Reply, Error> {
        let span = self.span.clone();
        let ends = self.ends;
        let reading = async move {
            let mut over = pin!(sleep_until(ends));
            loop {
                let turn = tokio::select! {
                    biased;
                    () = &mut over => Turn::Late,
                    turn = self.turn(&sender) => turn,
                };
                match turn {
                    Turn::Heard(room, batch) => {
                        batch.iter().for_each(|chunk| self.hear(chunk));
                        room.send(batch);
                    }
                    Turn::Ended => return Ok(self.end()),
                    Turn::Broke(failure) => return Err(self.broke(&failure)),
                    Turn::Stalled => return Err(self.stalled()),
                    Turn::Alone => return Err(Error::new(Code::Cancelled, "CANCELLED", "the reader went away")),
                    Turn::Late => return Err(self.late()),
                }
            }
        };
        reading.instrument(span).await
    }

    async fn turn<'s>(&mut self, sender: &'s Sender<Vec<Chunk>>) -> Turn<'s> {
        // Room first: the time that the caller takes is not the provider's silence, and nothing is read ahead.
        let room = match sender.try_reserve() {
            Ok(room) => room,
            Err(_) => match timeout(self.stall_max, sender.reserve()).await {
                Ok(Ok(room)) => room,
                Ok(Err(_)) => return Turn::Alone,
                Err(_) => return Turn::Stalled,
            },
        };
        match self.batch().await {
            Ok(batch) => Turn::Heard(room, batch),
            Err(Some(failure)) => Turn::Broke(failure),
            Err(None) => Turn::Ended,
        }
    }

    /// What has come, one chunk at least: one at a time, a quick answer would be thousands of tiny frames on the wire, which
    /// clients take for an attack when their reader is slow.
    async fn batch(&mut self) -> Result<Vec<Chunk>, Option<Failure>> {
        if let Some(after) = self.after.take() {
            return Err(after);
        }
        let (mut batch, mut bytes) = (Vec::new(), 0);
        let mut next = self.chunks.next().await;
        loop {
            match next {
                Some(Ok(chunk)) => {
                    bytes += size(&chunk);
                    batch.push(chunk);
                }
                Some(Err(failure)) => self.after = Some(Some(failure)),
                None => self.after = Some(None),
            }
            match self.after.take_if(|_| batch.is_empty()) {
                Some(after) => return Err(after),
                None if self.after.is_some() || bytes >= BATCH_BYTES => return Ok(batch),
                None => {}
            }
            match futures::poll!(self.chunks.next()) {
                Poll::Ready(more) => next = more,
                Poll::Pending => return Ok(batch),
            }
        }
    }

    fn end(self) -> Reply {
        let reply = self.flight.done(self.answer);
        spans::answered(&self.span, &reply);
        content::said(&self.span, self.traced.as_ref(), &reply.answer);
        reply
    }

    fn broke(self, failure: &Failure) -> Error {
        tracing::warn!(model = self.model, %failure, "an answer broke off");
        spans::failed(&self.span, failure.name());
        metrics::refused(&self.model, "broke_off");
        self.flight.failed(failure);
        let message = format!("{failure}: the text ends here, and is not whole");
        let (reason, back) = match failure {
            Failure::Limited { retry_after } => ("PROVIDER_LIMITED", *retry_after),
            Failure::Unwell { retry_after, .. } => ("UNAVAILABLE", *retry_after),
            _ => ("UNAVAILABLE", None),
        };
        Error::new(Code::Unavailable, reason, message).come_back_in(back.unwrap_or(RETRY_AFTER)).maybe_happened()
    }

    /// The place and the connection are given up with this.
    fn stalled(self) -> Error {
        tracing::warn!(model = self.model, stall_max = ?self.stall_max, "a reader took nothing: its answer is ended");
        spans::failed(&self.span, "stalled");
        metrics::refused(&self.model, "stalled");
        let message =
            "nothing was read of this answer for too long (llm_proxy.stall_max): it ends here, and is not whole";
        Error::exhausted(message, RETRY_AFTER).maybe_happened()
    }

    fn late(self) -> Error {
        spans::failed(&self.span, "DEADLINE_EXCEEDED");
        Error::deadline()
    }
}

/// What a chunk takes up in memory: of a few letters, mostly what is around them.
fn size(chunk: &Chunk) -> usize {
    let said = chunk.parts.iter().map(|part| match part {
        Part::Text(text) => text.capacity(),
        Part::ToolCall { id, name, arguments, .. } => id.capacity() + name.capacity() + arguments.capacity(),
        Part::Finish(_) | Part::Usage(_) => 0,
    });
    let around = size_of::<Chunk>() + chunk.parts.capacity() * size_of::<Part>();
    around + said.sum::<usize>() + chunk.json.as_ref().map_or(0, bytes::Bytes::len)
}
