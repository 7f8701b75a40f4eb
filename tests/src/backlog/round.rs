use std::collections::VecDeque;
use std::time::{Duration, Instant};

use holdfast_proto::queue::v1::queue_service_client::QueueServiceClient;
use holdfast_proto::queue::v1::work_request::{Credits, Hello, Message as Up};
use holdfast_proto::queue::v1::work_response::Message as Down;
use holdfast_proto::queue::v1::{CompleteRequest, Lease, Payload, WorkRequest, WorkResponse};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Streaming;

use super::fill;
use crate::load::{AGENT, Spread};

const STREAMS: usize = 4;
/// Leases that each stream has at most.
const CREDITS: u32 = 16;
/// Not counted: streams open, batches find their size.
const WARM_UP: Duration = Duration::from_millis(500);

/// What the workers of one round saw.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) leases_per_s: f64,
    /// From a credit given until the lease that takes it.
    pub(super) lease_ms: Spread,
    /// Completions that were not taken.
    pub(super) refused: f64,
}

/// Leases and completes for a time, and enqueues as many.
pub(super) async fn run(url: &str, length: Duration) -> Round {
    let (leased, told) = unbounded_channel();
    let topped_up = fill::top_up(url, told).await;
    let from = Instant::now() + WARM_UP;
    let window = (from, from + length);
    let mut workers = JoinSet::new();
    for index in 0..STREAMS {
        let (say, said) = unbounded_channel();
        let worker =
            Worker { say, leased: leased.clone(), window, credits: VecDeque::new(), held: 0, seen: Seen::default() };
        let hello = Hello { worker: format!("w-{index}"), agents: vec![AGENT.into()], held_tokens: vec![], credits: 0 };
        worker.tell(Up::Hello(hello));
        let mut queue = QueueServiceClient::connect(url.to_owned()).await.expect("the queue listens");
        let told = queue.work(UnboundedReceiverStream::new(said)).await.expect("the stream opens").into_inner();
        workers.spawn(worker.work(told));
    }
    drop(leased);
    let seen = workers.join_all().await;
    topped_up.await.expect("it does not panic");
    let times: Vec<Duration> = seen.iter().flat_map(|seen| seen.times.iter().copied()).collect();
    Round {
        leases_per_s: times.len() as f64 / length.as_secs_f64(),
        lease_ms: times.into_iter().collect(),
        refused: seen.iter().map(|seen| seen.refused).sum(),
    }
}

#[derive(Debug, Default)]
struct Seen {
    times: Vec<Duration>,
    refused: f64,
}

/// One stream that completes at once.
struct Worker {
    say: UnboundedSender<WorkRequest>,
    leased: UnboundedSender<usize>,
    window: (Instant, Instant),
    /// When each credit that is not used yet was given.
    credits: VecDeque<Instant>,
    /// Leases whose completion is not answered yet.
    held: usize,
    seen: Seen,
}

impl Worker {
    /// Until the time is over and nothing is in hand.
    async fn work(mut self, mut told: Streaming<WorkResponse>) -> Seen {
        self.give(CREDITS);
        while !self.credits.is_empty() || self.held > 0 {
            let message = told.message().await.expect("the stream goes on").expect("the queue does not end it");
            match message.message {
                Some(Down::Leases(leases)) => self.leases(leases.leases),
                Some(Down::Settled(settled)) => {
                    self.held -= 1;
                    self.seen.refused += f64::from(u8::from(!settled.status.is_empty()));
                }
                _ => {}
            }
        }
        self.seen
    }

    fn leases(&mut self, leases: Vec<Lease>) {
        let (now, count) = (Instant::now(), leases.len());
        for lease in leases {
            let given = self.credits.pop_front().expect("no lease comes without a credit");
            if self.window.0 <= given && now <= self.window.1 {
                self.seen.times.push(now - given);
            }
            let result = Some(Payload { data: "null".into(), content_type: String::new() });
            self.tell(Up::Complete(CompleteRequest { token: lease.token, result, usage: None }));
        }
        self.held += count;
        self.leased.send(count).expect("somebody enqueues as many");
        if now < self.window.1 {
            self.give(count as u32);
        }
    }

    fn give(&mut self, credits: u32) {
        let now = Instant::now();
        self.credits.extend((0..credits).map(|_| now));
        self.tell(Up::Credits(Credits { credits }));
    }

    fn tell(&self, message: Up) {
        self.say.send(WorkRequest { message: Some(message) }).expect("the stream is open");
    }
}
