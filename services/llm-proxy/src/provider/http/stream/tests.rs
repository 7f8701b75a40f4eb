use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures::{StreamExt, stream};
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::time::sleep;

use super::*;
use crate::domain::Part;

/// What a reader makes of pieces of the wire, and how that ended.
pub(crate) fn read<R: Reader>(reader: R, bytes_max: usize, pieces: &[&[u8]]) -> (Vec<Chunk>, Result<R, Failure>) {
    let (mut events, mut chunks) = (Events::new(reader, bytes_max), VecDeque::new());
    for piece in pieces {
        if let Err(failure) = events.feed(Bytes::copy_from_slice(piece), &mut chunks) {
            return (chunks.into(), Err(failure));
        }
    }
    (chunks.into(), Ok(events.reader))
}

/// Each event is a text, and `END` the last one.
struct Texts(bool);

impl Reader for Texts {
    fn event(&mut self, data: Bytes) -> Result<Option<Chunk>, Failure> {
        self.0 = &data[..] == b"END";
        let text = String::from_utf8_lossy(&data).into_owned();
        Ok((!self.0).then(|| Chunk { parts: vec![Part::Text(text)], json: None }))
    }

    fn ended(&self) -> bool {
        self.0
    }

    fn complete(&self) -> bool {
        false
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// A body whose pieces come each after a time; how many were taken from it.
fn body(
    pieces: Vec<(Duration, &'static str)>,
) -> (impl Body<Data = Bytes, Error = Infallible> + Send + Unpin, Arc<AtomicUsize>) {
    let taken = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&taken);
    let pieces = stream::iter(pieces).then(move |(after, piece)| {
        let taken = Arc::clone(&counts);
        async move {
            sleep(after).await;
            taken.fetch_add(1, Ordering::Relaxed);
            Ok(Frame::data(Bytes::from(piece)))
        }
    });
    (StreamBody::new(pieces.boxed()), taken)
}

fn texts(
    body: impl Body<Data = Bytes, Error = Infallible> + Send + Unpin,
) -> impl Stream<Item = Result<Chunk, Failure>> {
    let settings = Settings {
        base_url: String::new(),
        authority: None,
        simulated: false,
        connect_timeout: SECOND,
        timeout: SECOND,
        idle_timeout: 10 * SECOND,
        answer_bytes_max: 1_000,
        trace: None,
    };
    chunks(body, Texts(false), Instant::now() + 100 * SECOND, &settings)
}

async fn all(pieces: Vec<(Duration, &'static str)>) -> Vec<Result<Chunk, Failure>> {
    texts(body(pieces).0).collect().await
}

#[tokio::test(start_paused = true)]
async fn a_model_may_think_longer_than_a_stream_may_be_silent() {
    let answer = all(vec![(99 * SECOND, "data: a\n"), (9 * SECOND, ": on it\n"), (9 * SECOND, "data: END\n")]).await;
    assert!(matches!(answer[..], [Ok(_)]), "{answer:?}");
    let late = all(vec![(101 * SECOND, "data: a\n")]).await;
    assert_eq!(late, [Err(Failure::Broken { how: "took too long" })]);
    let silent = all(vec![(SECOND, "data: a\n"), (11 * SECOND, "data: END\n")]).await;
    assert_eq!(silent[1], Err(Failure::Broken { how: "fell silent" }));
}

#[tokio::test(start_paused = true)]
async fn a_response_that_does_not_end_holds_an_answer_up_for_a_moment_only() {
    let began = Instant::now();
    let answer = all(vec![(Duration::ZERO, "data: a\ndata: END\n"), (100 * SECOND, "")]).await;
    assert_eq!((answer.len(), began.elapsed()), (1, TAIL));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_read_that_nobody_asked_for() {
    let pieces = vec![(Duration::ZERO, "data: a\n"), (Duration::ZERO, "data: b\n"), (Duration::ZERO, "data: END\n")];
    let (body, taken) = body(pieces);
    let mut texts = Box::pin(texts(body));
    for asked in 1..=2 {
        sleep(100 * SECOND).await;
        assert_eq!(taken.load(Ordering::Relaxed), asked - 1, "a slow reader holds one piece");
        assert!(texts.next().await.is_some_and(|text| text.is_ok()));
    }
}
