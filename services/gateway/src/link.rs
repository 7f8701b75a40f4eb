//! The link to the queue: one stream that carries the submits and waits of all callers.
//!
//! The link is also the breaker of submits. Without a stream that the queue has answered, calls are refused at once; the
//! attempts to open one, with backoff, are the probes; an open stream on which nothing comes back is given up.

mod call;
mod calls;
mod lane;

use std::time::Duration;

use holdfast_config::{Common, Peer};
use holdfast_proto::queue::v1::EnqueueStreamResponse;
use holdfast_proto::queue::v1::queue_service_client::QueueServiceClient;
use holdfast_resilience::Backoff;
use holdfast_rpc::client::Channel;
use tokio::time::{interval, timeout};
use tonic::{Status, Streaming};

pub(crate) use call::{CallError, Limits, Reply};
pub(crate) use lane::{Lane, Ticket};

use crate::metrics;

/// Between attempts to open a stream.
const BACKOFF: Backoff = Backoff::doubling(Duration::from_millis(50), Duration::from_millis(500));

/// Answers of the queue may hold the payloads and results of several invocations.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// How often the open stream is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

type Client = QueueServiceClient<Channel>;

/// Keeps one stream to the queue open.
pub(crate) struct Link {
    /// The calls that it carries.
    pub(crate) lane: Lane,
    /// Where the queue is, and how we are known there.
    pub(crate) common: Common,
    /// A stream that is not open by then is given up.
    pub(crate) connect_within: Duration,
    /// A queue that is silent for so long while calls wait for it is given up.
    pub(crate) answer_within: Duration,
}

impl Link {
    /// Runs until its owner drops it.
    pub(crate) async fn run(self) {
        let addresses = self.common.mesh.queue.all().len();
        // Where the queue has several processes, gateways spread over them.
        let mut turn = rand::random_range(0..addresses);
        let mut failed: u32 = 0;
        loop {
            match self.connect(turn).await {
                // The client holds the connection; it lives as long as the stream does.
                Ok((_client, answers)) => {
                    failed = 0;
                    self.lane.connected();
                    metrics::link_is_up(true);
                    tracing::info!("the stream to the queue is open");
                    let why = self.carry(answers).await;
                    tracing::warn!(why, "the stream to the queue broke");
                }
                Err(status) => tracing::debug!(why = status.message(), "no stream to the queue"),
            }
            metrics::link_is_up(false);
            failed += 1;
            turn = (turn + 1) % addresses;
            let delay = pause(failed, addresses as u32);
            self.lane.disconnected(delay);
            tokio::time::sleep(delay).await;
        }
    }

    async fn connect(&self, address: usize) -> Result<(Client, Streaming<EnqueueStreamResponse>), Status> {
        // A connection of its own each time: a channel's breaker would refuse attempts that are paced here already.
        let channel = Channel::to(&self.common, Peer::Queue)?.beginning_at(address);
        let mut queue = QueueServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
        match timeout(self.connect_within, queue.enqueue_stream(self.lane.outgoing())).await {
            Ok(response) => Ok((queue, response?.into_inner())),
            Err(_) => Err(Status::unavailable("the queue does not answer")),
        }
    }

    /// Brings answers to their calls until the stream ends; says why it did.
    async fn carry(&self, mut answers: Streaming<EnqueueStreamResponse>) -> String {
        let mut look = interval(LOOK_EVERY);
        loop {
            tokio::select! {
                message = answers.message() => match message {
                    Ok(Some(message)) => self.lane.hear(message),
                    Ok(None) => return "the queue ended it".into(),
                    Err(status) => return status.message().to_owned(),
                },
                _ = look.tick() => {
                    metrics::calls_open(self.lane.len());
                    self.lane.unpark();
                    if self.lane.stalled(self.answer_within) {
                        return format!("no answer for {:?}", self.answer_within);
                    }
                }
            }
        }
    }
}

/// Each address is tried at once; then the round is over, and the next begins after a while.
fn pause(failed: u32, addresses: u32) -> Duration {
    if !failed.is_multiple_of(addresses) {
        return Duration::ZERO;
    }
    let rounds = failed / addresses;
    // Half the bound is certain, so that a queue that refuses is not asked in a tight loop.
    (BACKOFF.bound(rounds) + BACKOFF.delay(rounds, &mut rand::rng())) / 2
}
