use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::stream::FuturesUnordered;
use futures::{StreamExt, TryFutureExt};
use holdfast_proto::queue::v1::queue_service_client::QueueServiceClient;
use holdfast_proto::queue::v1::work_request::{Credits, Hello, Message as Up};
use holdfast_proto::queue::v1::work_response::Message as Down;
use holdfast_proto::queue::v1::work_response::Settled;
use holdfast_proto::queue::v1::{CompleteRequest, Lease, Payload, WorkRequest, WorkResponse};
use rand::RngExt;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Streaming;

use super::AGENT;

/// How long each worker holds an invocation.
#[derive(Debug, Clone, Copy)]
pub enum Hold {
    /// Always the same time.
    Fixed(Duration),
    /// From half to one and a half of it, so that workers who began together do not end together for ever.
    About(Duration),
}

impl Hold {
    fn length(self) -> Duration {
        match self {
            Self::Fixed(time) => time,
            Self::About(time) => time.mul_f64(rand::rng().random_range(0.5..1.5)),
        }
    }
}

/// Workers, each of whom holds one invocation for a time: together they do so many a second, and never more.
#[derive(Debug)]
pub struct Pool {
    done: Arc<Done>,
    streams: JoinSet<()>,
}

/// What the workers have done.
#[derive(Debug, Default)]
struct Done {
    works: Mutex<HashMap<u64, Work>>,
    completed: AtomicU64,
    refused: AtomicU64,
}

/// The work on one submission.
#[derive(Debug, Default)]
struct Work {
    began: Option<Instant>,
    ended: bool,
    /// Who wants to know of its end.
    tell: Option<oneshot::Sender<()>>,
}

impl Done {
    fn with<T>(&self, number: u64, change: impl FnOnce(&mut Work) -> T) -> T {
        change(self.works.lock().expect("nobody panics with it").entry(number).or_default())
    }

    /// Nobody waits any more for what may never come.
    fn forsake(&self) {
        self.works.lock().expect("nobody panics with it").values_mut().for_each(|work| work.tell = None);
    }
}

impl Pool {
    /// Starts so many workers at queues, shared out evenly between them.
    ///
    /// # Panics
    /// Where a queue does not listen.
    pub async fn start(queues: &[String], workers: u32, hold: Hold) -> Self {
        let done = Arc::<Done>::default();
        let mut streams = JoinSet::new();
        for (index, url) in queues.iter().enumerate() {
            let (share, rest) = (workers / queues.len() as u32, workers % queues.len() as u32);
            let places = share + u32::from((index as u32) < rest);
            let mut client = QueueServiceClient::connect(url.clone()).await.expect("the queue listens");
            let (say, said) = unbounded_channel();
            let stream = Places { say, hold, done: Arc::clone(&done), held: HashMap::new() };
            stream.hello(index, places);
            let told = client.work(UnboundedReceiverStream::new(said)).await.expect("the stream opens").into_inner();
            streams.spawn(stream.work(told));
        }
        Self { done, streams }
    }

    /// When the work on a submission began, if it has.
    pub fn began(&self, number: u64) -> Option<Instant> {
        self.done.with(number, |work| work.began)
    }

    /// Returns once the queue has taken the completion of a submission, or a stream has broken.
    pub async fn ended(&self, number: u64) {
        let (tell, told) = oneshot::channel();
        let waits = self.done.with(number, |work| {
            work.tell = Some(tell);
            !work.ended
        });
        if waits {
            // Nobody tells when the stream has broken.
            told.await.ok();
        }
    }

    /// Completions that the queue has taken.
    pub fn completed(&self) -> u64 {
        self.done.completed.load(Ordering::Relaxed)
    }

    /// Completions that the queue has not taken.
    pub fn refused(&self) -> u64 {
        self.done.refused.load(Ordering::Relaxed)
    }

    /// Whether every stream is still open.
    pub fn is_whole(&mut self) -> bool {
        self.streams.try_join_next().is_none()
    }
}

/// The workers of one stream.
struct Places {
    say: UnboundedSender<WorkRequest>,
    hold: Hold,
    done: Arc<Done>,
    /// The submission of each lease whose completion is not answered yet.
    held: HashMap<String, u64>,
}

impl Places {
    fn hello(&self, index: usize, credits: u32) {
        let agents = vec![AGENT.to_owned()];
        self.tell(Up::Hello(Hello { worker: format!("pool-{index}"), agents, held_tokens: vec![], credits }));
    }

    /// Ends with the stream: a proof notices by [`Pool::is_whole`], or by what is not done.
    async fn work(mut self, mut told: Streaming<WorkResponse>) {
        let mut holds = FuturesUnordered::new();
        loop {
            tokio::select! {
                message = told.message().unwrap_or_else(|_| None) => match message.map(|message| message.message) {
                    Some(Some(Down::Leases(leases))) => leases.leases.into_iter().for_each(|lease| {
                        self.begins(&lease);
                        let hold = sleep(self.hold.length());
                        holds.push(async move { hold.await; lease.token });
                    }),
                    Some(Some(Down::Settled(settled))) => self.settled(&settled),
                    Some(_) => {}
                    None => return self.done.forsake(),
                },
                Some(token) = holds.next() => self.completes(token),
            }
        }
    }

    fn begins(&mut self, lease: &Lease) {
        let payload = lease.invocation.as_ref().and_then(|invocation| invocation.spec.as_ref()?.payload.as_ref());
        let number = payload.and_then(|payload| std::str::from_utf8(&payload.data).ok()?.parse().ok());
        let number = number.expect("a payload is its number");
        self.held.insert(lease.token.clone(), number);
        self.done.with(number, |work| *work.began.get_or_insert_with(Instant::now));
    }

    fn settled(&mut self, settled: &Settled) {
        let count = if settled.status.is_empty() { &self.done.completed } else { &self.done.refused };
        count.fetch_add(1, Ordering::Relaxed);
        let Some(number) = self.held.remove(&settled.token) else { return };
        let tell = self.done.with(number, |work| {
            work.ended = true;
            work.tell.take()
        });
        if let Some(tell) = tell {
            tell.send(()).ok();
        }
    }

    fn completes(&self, token: String) {
        let result = Some(Payload { data: "null".into(), content_type: String::new() });
        self.tell(Up::Complete(CompleteRequest { token, result, usage: None }));
        self.tell(Up::Credits(Credits { credits: 1 }));
    }

    fn tell(&self, message: Up) {
        // Nobody listens once the stream has ended, which its end tells.
        self.say.send(WorkRequest { message: Some(message) }).ok();
    }
}
