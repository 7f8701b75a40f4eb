//! Who reads streams, and how.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use holdfast_config::Peer;
use holdfast_proto::llm::v1::StreamGenerateRequest;
use holdfast_proto::llm::v1::StreamGenerateResponse;
use holdfast_proto::llm::v1::llm_service_client::LlmServiceClient;
use holdfast_proto::llm::v1::stream_generate_response::Part;
use holdfast_testkit::Mesh;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

use crate::llm::Ask;

/// Streams on one connection.
const ON_ONE: u32 = 50;
/// What a connection's reader may leave unread of each stream: as the protocol has it where nothing is said.
const STREAM_WINDOW: u32 = 65_535;
/// Of all of them: far more, so that nobody stands in the way of who shares the connection. A client also ends a connection
/// on which it has more unread small frames than half of this has room for, at 256 bytes a frame.
const CONNECTION_WINDOW: u32 = 1 << 30;
/// How long a slow reader looks at each part.
const SLOW: Duration = Duration::from_millis(50);

/// How a stream is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// As it comes.
    Eager,
    /// A part now and then.
    Slow,
    /// Never more than its first part.
    Nothing,
}

/// Streams that have begun.
pub(super) struct Readers {
    /// Each ends with the length of the text that it read.
    reading: JoinSet<usize>,
    /// Parts that slow readers have read.
    slowly: Vec<Arc<AtomicUsize>>,
    _unread: Vec<Streaming<StreamGenerateResponse>>,
}

impl Readers {
    /// Opens so many streams for each kind of reader; each has its first part when this returns.
    pub(super) async fn open(mesh: &Mesh, ask: Ask, wanted: &[(Reader, u32)]) -> Self {
        let mut readers = Self { reading: JoinSet::new(), slowly: Vec::new(), _unread: Vec::new() };
        let all: Vec<Reader> = wanted.iter().flat_map(|(reader, count)| (0..*count).map(|_| *reader)).collect();
        for of_one in all.chunks(ON_ONE as usize) {
            let channel = connection(mesh);
            let opened = of_one.iter().map(|_| open(channel.clone(), &ask));
            for (stream, reader) in join_all(opened).await.into_iter().zip(of_one) {
                readers.read(stream, *reader);
            }
        }
        readers
    }

    fn read(&mut self, (stream, first): (Streaming<StreamGenerateResponse>, usize), reader: Reader) {
        match reader {
            Reader::Eager => drop(self.reading.spawn(read(stream, first, Duration::ZERO, Arc::default()))),
            Reader::Slow => {
                let parts = Arc::<AtomicUsize>::default();
                self.slowly.push(Arc::clone(&parts));
                self.reading.spawn(read(stream, first, SLOW, parts));
            }
            Reader::Nothing => self._unread.push(stream),
        }
    }

    /// The lengths that were read, once all that are read have ended.
    pub(super) async fn ended(&mut self) -> Vec<usize> {
        let mut lengths = Vec::new();
        while let Some(length) = self.reading.join_next().await {
            lengths.push(length.expect("a reader does not panic"));
        }
        lengths
    }

    /// How many slow readers get parts within a second.
    pub(super) async fn reading(&mut self) -> usize {
        let read = |parts: &Arc<AtomicUsize>| parts.load(Ordering::Relaxed);
        let before: Vec<_> = self.slowly.iter().map(read).collect();
        sleep(SLOW * 20).await;
        self.slowly.iter().zip(before).filter(|(parts, before)| read(parts) > *before).count()
    }
}

fn connection(mesh: &Mesh) -> Channel {
    let endpoint = Endpoint::from_shared(mesh.url(Peer::LlmProxy)).expect("a URL of our own");
    let endpoint = endpoint.initial_stream_window_size(STREAM_WINDOW);
    endpoint.initial_connection_window_size(CONNECTION_WINDOW).connect_lazy()
}

/// Opens a stream and reads its first text.
async fn open(channel: Channel, ask: &Ask) -> (Streaming<StreamGenerateResponse>, usize) {
    let request = StreamGenerateRequest { request: Some(ask.message()) };
    let opened = LlmServiceClient::new(channel).stream_generate(request).await;
    let mut stream = opened.expect("a stream begins").into_inner();
    loop {
        let part = stream.message().await.expect("a stream goes on").expect("a stream has parts").part;
        if let Some(Part::Text(text)) = part {
            return (stream, text.len());
        }
    }
}

/// Reads to the end; where the stream breaks, only as far.
async fn read(
    mut stream: Streaming<StreamGenerateResponse>,
    first: usize,
    pause: Duration,
    parts: Arc<AtomicUsize>,
) -> usize {
    let mut length = first;
    while let Ok(Some(message)) = stream.message().await {
        parts.fetch_add(1, Ordering::Relaxed);
        if let Some(Part::Text(text)) = message.part {
            length += text.len();
        }
        if !pause.is_zero() {
            sleep(pause).await;
        }
    }
    length
}
