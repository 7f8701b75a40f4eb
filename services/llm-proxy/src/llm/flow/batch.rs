//! What an answer is passed on in. One chunk at a time, a quick answer would be thousands of tiny frames on the wire, which
//! clients take for an attack when their reader is slow.

use std::task::Poll;

use futures::StreamExt as _;

use crate::{
    domain::{Chunk, Part},
    provider::{Chunks, Failure},
};

/// What is passed on at once, where so much is there: so much memory, however little text it is.
const BYTES: usize = 8 << 10;

/// The chunks of an answer, many together.
pub(super) struct Batches {
    chunks: Chunks,
    /// What came after the last batch: its end, or its failure.
    after: Option<Option<Failure>>,
}

impl Batches {
    pub(super) fn new(chunks: Chunks) -> Self {
        Self { chunks, after: None }
    }

    /// What has come, one chunk at least.
    ///
    /// # Errors
    /// How it ended instead: by a failure, where there is one.
    pub(super) async fn next(&mut self) -> Result<Vec<Chunk>, Option<Failure>> {
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
                None if self.after.is_some() || bytes >= BYTES => return Ok(batch),
                None => {}
            }
            match futures::poll!(self.chunks.next()) {
                Poll::Ready(more) => next = more,
                Poll::Pending => return Ok(batch),
            }
        }
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

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    #[tokio::test]
    async fn a_batch_is_bounded_by_the_memory_that_it_takes_up() {
        let text = |text: &str| Ok(Chunk { parts: vec![Part::Text(text.into())], json: None });
        let large = "x".repeat(3 * BYTES);
        let all =
            (0..1_000).map(|_| text("a")).chain([text(&large), text("b"), Err(Failure::Broken { how: "broke off" })]);
        let mut batches = Batches::new(stream::iter(all.collect::<Vec<_>>()).boxed());
        let (mut chunks, mut end) = (0, None);
        while end.is_none() {
            match batches.next().await {
                Ok(batch) => {
                    chunks += batch.len();
                    let (last, others) = batch.split_last().expect("one at least");
                    assert!(others.iter().map(size).sum::<usize>() < BYTES, "{} and {last:?}", others.len());
                    assert!(others.len() < BYTES / (size_of::<Chunk>() + size_of::<Part>()));
                }
                Err(failure) => end = Some(failure),
            }
        }
        assert_eq!((chunks, end), (1_002, Some(Some(Failure::Broken { how: "broke off" }))));
    }
}
