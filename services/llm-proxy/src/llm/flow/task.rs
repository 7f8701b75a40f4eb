//! What reads an answer from its provider. It goes on whether or not the caller reads: so the deadline holds, and a reader
//! who stands still does not keep a key's place for ever.

use std::{pin::pin, time::Duration};

use holdfast_rpc::Error;
use holdfast_telemetry::redaction::Redaction;
use tokio::{
    sync::mpsc::{Permit, Sender},
    time::{Instant, sleep_until, timeout},
};
use tonic::Code;
use tracing::{Instrument as _, Span};

use super::{
    super::{Reply, content, flight::Flight, spans},
    batch::Batches,
};
use crate::{
    domain::{Answer, Chunk, Form, Part},
    metrics,
    model::Model,
    provider::{Chunks, Failure},
};

/// When to ask again after an answer that broke off.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Bytes of a token, where only the text was seen.
const BYTES_PER_TOKEN: usize = 4;

/// An answer in progress.
pub(super) struct Flow {
    model: String,
    form: Form,
    batches: Batches,
    /// As far as it was heard.
    answer: Answer,
    flight: Flight,
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
        let batches = Batches::new(chunks);
        Self { model: model.name.clone(), form, batches, answer, flight, ends, stall_max, span, traced }
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
        match self.batches.next().await {
            Ok(batch) => Turn::Heard(room, batch),
            Err(Some(failure)) => Turn::Broke(failure),
            Err(None) => Turn::Ended,
        }
    }

    fn end(self) -> Reply {
        let (reply, settlement) = self.flight.done(self.answer);
        settlement.settle();
        spans::answered(&self.span, &reply);
        content::said(&self.span, self.traced.as_ref(), &reply.answer);
        reply
    }

    fn broke(self, failure: &Failure) -> Error {
        tracing::warn!(model = self.model, failure = failure.name(), "an answer broke off");
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
