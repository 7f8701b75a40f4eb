//! An answer as a stream: its beginning is waited for, and can still fail unseen; then it flows, one batch ahead of the
//! caller, and ends by an end or by an error.

mod batch;
mod task;

use std::sync::Arc;

use futures::{FutureExt as _, StreamExt as _, stream};
use holdfast_rpc::Error;
use tokio::{sync::mpsc, task::JoinSet, time::Instant};

use self::task::Flow;
use super::{Begun, Llm, Piece, Reply, Who, fixed};
use crate::{
    domain::{Ask, Chunk, Part},
    provider::{Chunks, Failure},
};

/// Chunks that say nothing and are held back until one does. With more, it is only that what they say is not known here.
const HELD_MAX: usize = 8;

/// What is left for the caller to read.
struct Reading {
    /// Of the last batch.
    ready: std::vec::IntoIter<Chunk>,
    /// The task that reads on from the provider. It ends with this, and first: a caller that goes away takes it along.
    flow: JoinSet<Result<Reply, Error>>,
    batches: mpsc::Receiver<Vec<Chunk>>,
}

/// Waits until a deployment says something.
pub(crate) async fn open(llm: Arc<Llm>, who: Who, ask: Ask, ends: Option<Instant>) -> Result<Begun, Error> {
    let model = llm.model(&ask.model)?;
    let mut attempt = llm.attempt(model, &who, &ask);
    let landed = attempt.land(|deployment, call| begin(deployment.house.provider.stream(call)).boxed()).await;
    let ((begun, chunks), mut flight) = match landed {
        Ok(landed) => landed,
        Err(error) => return attempt.without(error).map(fixed),
    };
    drop(attempt);
    flight.begins();
    let (deployment, waited) = flight.so_far();
    let ends = ends.unwrap_or_else(|| Instant::now() + llm.answer_max);
    let mut flow = Flow::new(model, ask.form, (chunks, flight), ends, llm.stall_max);
    begun.iter().for_each(|chunk| flow.hear(chunk));
    let (sender, batches) = mpsc::channel(1);
    let mut task = JoinSet::new();
    task.spawn(flow.run(sender));
    let reading = Reading { ready: begun.into_iter(), flow: task, batches };
    let pieces = stream::unfold(Some(reading), |reading| async move { Some(reading?.next().await) }).boxed();
    Ok(Begun { deployment, waited, degraded: false, pieces })
}

/// A stream up to its first chunk that says something: until that is here, the call can still go elsewhere.
async fn begin(opened: impl Future<Output = Result<Chunks, Failure>>) -> Result<(Vec<Chunk>, Chunks), Failure> {
    let mut chunks = opened.await?;
    let mut begun = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        let says = chunk.parts.iter().any(|part| !matches!(part, Part::Usage(_)));
        if chunk != Chunk::default() {
            begun.push(chunk);
        }
        if says || begun.len() > HELD_MAX {
            return Ok((begun, chunks));
        }
    }
    Err(Failure::Broken { how: "sent an empty answer" })
}

impl Reading {
    async fn next(mut self) -> (Result<Piece, Error>, Option<Self>) {
        if self.ready.len() == 0
            && let Some(batch) = self.batches.recv().await
        {
            self.ready = batch.into_iter();
        }
        if let Some(chunk) = self.ready.next() {
            return (Ok(Piece::Chunk(chunk)), Some(self));
        }
        let ended = match self.flow.join_next().await {
            Some(Ok(ended)) => ended,
            Some(Err(panicked)) => Err(Error::internal(panicked)),
            None => Err(Error::internal("a stream lost its task")),
        };
        (ended.map(|reply| Piece::End(Box::new(reply))), None)
    }
}
