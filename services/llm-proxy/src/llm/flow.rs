//! An answer as a stream: its beginning is waited for, then it flows part by part, and ends by an end or by an error.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt, stream};
use holdfast_rpc::Error;
use tracing::{Instrument, Span};

use super::{Llm, Piece, Pieces, Who, account, attempt::Flight, fixed};
use crate::{
    domain::{Answer, Ask, Chunk},
    metrics,
    provider::{Chunks, Failure},
};

/// When to ask again after an answer that broke off.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// An answer in progress.
struct Flow {
    who: Who,
    model: String,
    chunks: Chunks,
    first: Option<Chunk>,
    answer: Answer,
    flight: Flight,
    span: Span,
}

/// Waits until a deployment says its first part.
pub(crate) async fn open(llm: Arc<Llm>, who: Who, ask: Ask) -> Result<Pieces, Error> {
    let model = llm.model(&ask.model)?;
    let attempt = llm.attempt(model, &who, &ask);
    let landed = attempt.land(|deployment, call| begin(deployment.house.provider.stream(call)).boxed()).await;
    let ((first, chunks), flight) = match landed {
        Ok(landed) => landed,
        Err(error) => return llm.without(model, error).map(fixed),
    };
    let (model, span) = (model.name.clone(), Span::current());
    let flow = Flow { who, model, chunks, first: Some(first), answer: Answer::default(), flight, span };
    let pieces = stream::unfold(Some(flow), |flow| async move {
        let flow = flow?;
        let span = flow.span.clone();
        Some(flow.next().instrument(span).await)
    });
    Ok(pieces.boxed())
}

/// A stream with its first event: until that is here, the call can still go elsewhere.
async fn begin(opened: impl Future<Output = Result<Chunks, Failure>>) -> Result<(Chunk, Chunks), Failure> {
    let mut chunks = opened.await?;
    match chunks.next().await {
        Some(first) => Ok((first?, chunks)),
        None => Err(Failure::Broken { how: "sent an empty answer" }),
    }
}

impl Flow {
    async fn next(mut self) -> (Result<Piece, Error>, Option<Self>) {
        let chunk = match self.first.take() {
            Some(first) => Some(Ok(first)),
            None => self.chunks.next().await,
        };
        match chunk {
            Some(Ok(chunk)) => {
                chunk.parts.iter().for_each(|part| self.answer.add(part));
                (Ok(Piece::Chunk(chunk)), Some(self))
            }
            Some(Err(failure)) => (Err(self.broke(&failure)), None),
            None => (Ok(self.end()), None),
        }
    }

    fn end(self) -> Piece {
        let reply = self.flight.done(self.answer);
        account(&self.model, &self.who, &reply);
        Piece::End(Box::new(reply))
    }

    fn broke(self, failure: &Failure) -> Error {
        tracing::warn!(model = self.model, %failure, "an answer broke off");
        self.span.record("error.type", failure.name());
        metrics::refused(&self.model, "broke_off");
        self.flight.broke(failure);
        let message = format!("{failure}: the text ends here, and is not whole");
        Error::unavailable(message, RETRY_AFTER).maybe_happened()
    }
}
