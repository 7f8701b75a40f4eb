//! One invocation: what it is, what has happened to it, and the steps that its workers recorded.

use std::collections::VecDeque;
use std::time::Duration;

use holdfast_proto::gateway::v1::invocation_service_client::InvocationServiceClient;
use holdfast_proto::gateway::v1::{GetInvocationRequest, WatchInvocationRequest, WatchInvocationResponse};
use holdfast_proto::queue::v1::InvocationEvent;
use holdfast_proto::queue::v1::invocation_event::Event;
use holdfast_proto::state::v1::state_service_client::StateServiceClient;
use holdfast_proto::state::v1::{ListRequest, Record};
use holdfast_rpc::Channel;
use tokio::select;
use tokio::sync::{mpsc, watch};
use tonic::Streaming;

use super::super::event::Report;
use super::super::known::{Looked, Trouble};
use super::super::state::Wanted;
use super::{every, within};

const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The newest of its events that are kept.
const EVENTS_MAX: usize = 1_000;
/// The first of its steps that are shown.
const STEPS_MAX: u32 = 500;
/// Where workers record steps; the partition is the invocation.
const STEPS: &str = "holdfast.steps";
/// A page of steps.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Looks into whichever is wanted.
pub(super) async fn look(channel: Channel, mut wanted: watch::Receiver<Wanted>, reports: mpsc::Sender<Report>) {
    loop {
        let id = wanted.borrow_and_update().invocation.clone();
        select! {
            () = follow(&channel, id, &reports) => {}
            changed = wanted.changed() => if changed.is_err() { return },
        }
    }
}

/// Tells of one for as long as it is wanted; none is nothing to tell.
async fn follow(channel: &Channel, id: Option<String>, reports: &mpsc::Sender<Report>) {
    let Some(id) = id else { return std::future::pending().await };
    let mut look = Look {
        gateway: InvocationServiceClient::new(channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX),
        state: StateServiceClient::new(channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX),
        id: id.clone(),
        news: None,
        events: VecDeque::new(),
        seen: 0,
    };
    let mut ticks = every(LOOK_EVERY);
    loop {
        select! {
            _ = ticks.tick() => {
                let answer = look.now().await.map(Box::new);
                if reports.send(Report::Looked { id: id.clone(), answer }).await.is_err() {
                    return;
                }
            }
            // Told with the next look.
            told = next(&mut look.news) => look.heard(told),
        }
    }
}

struct Look {
    gateway: InvocationServiceClient<Channel>,
    state: StateServiceClient<Channel>,
    id: String,
    news: Option<Streaming<WatchInvocationResponse>>,
    events: VecDeque<InvocationEvent>,
    /// The offset of the last event that was heard.
    seen: u64,
}

impl Look {
    async fn now(&mut self) -> Result<Looked, Trouble> {
        let request = GetInvocationRequest { invocation_id: self.id.clone() };
        let invocation = within(self.gateway.get_invocation(request)).await?.invocation.unwrap_or_default();
        let steps = self.steps().await?;
        if self.news.is_none() {
            let (invocation_id, from_offset) = (self.id.clone(), self.seen + 1);
            let request = WatchInvocationRequest { invocation_id, from_offset };
            self.news = Some(within(self.gateway.watch_invocation(request)).await?);
        }
        Ok(Looked { invocation, events: self.events.iter().cloned().collect(), steps })
    }

    async fn steps(&mut self) -> Result<Vec<Record>, Trouble> {
        let request = ListRequest {
            namespace: STEPS.into(),
            partition: self.id.clone(),
            page_size: STEPS_MAX,
            ..Default::default()
        };
        Ok(within(self.state.list(request)).await?.records)
    }

    fn heard(&mut self, told: Option<InvocationEvent>) {
        let Some(event) = told else {
            self.news = None;
            return;
        };
        self.seen = event.offset;
        // Parts of the answer would push everything else out, and the answer has them all.
        if matches!(event.event, Some(Event::Chunk(_))) {
            return;
        }
        self.events.push_back(event);
        if self.events.len() > EVENTS_MAX {
            self.events.pop_front();
        }
    }
}

/// The next event; nothing once the stream has ended.
async fn next(news: &mut Option<Streaming<WatchInvocationResponse>>) -> Option<InvocationEvent> {
    match news {
        Some(news) => news.message().await.ok().flatten()?.event,
        None => std::future::pending().await,
    }
}
