//! What is asked through the gateway, with the operator's key. Where the mesh has streams they are followed; what they do not
//! tell, such as counts that change without a change of state, is asked for beside them.

use std::time::Duration;

use holdfast_proto::gateway::v1::ListInvocationsRequest;
use holdfast_proto::gateway::v1::invocation_service_client::InvocationServiceClient;
use holdfast_proto::llm::v1::llm_service_client::LlmServiceClient;
use holdfast_proto::llm::v1::{GetCapacityRequest, WatchCapacityRequest};
use holdfast_proto::queue::v1::ListDepthsRequest;
use holdfast_proto::queue::v1::queue_service_client::QueueServiceClient;
use holdfast_proto::tool::v1::tool_service_client::ToolServiceClient;
use holdfast_proto::tool::v1::{ListCircuitsRequest, WatchCircuitsRequest};
use holdfast_rpc::{Channel, time};
use tokio::select;
use tokio::sync::{mpsc, watch};

use super::super::event::Report;
use super::super::known::Trouble;
use super::super::state::{Listing, Wanted};
use super::{AGAIN, every, within};

/// A rise is seen within a second, drawing included.
const DEPTHS_EVERY: Duration = Duration::from_millis(250);
const COUNTS_EVERY: Duration = Duration::from_secs(1);
const CAPACITY_INTERVAL: Duration = Duration::from_millis(250);
const INVOCATIONS_EVERY: Duration = Duration::from_secs(1);
/// As many as somebody would look through.
const INVOCATIONS_MAX: u32 = 200;

type Reports = mpsc::Sender<Report>;

pub(super) async fn depths(channel: Channel, reports: Reports) {
    let mut queue = QueueServiceClient::new(channel);
    let mut ticks = every(DEPTHS_EVERY);
    loop {
        ticks.tick().await;
        let answer = within(queue.list_depths(ListDepthsRequest {})).await;
        if reports.send(Report::Depths(answer.map(|answer| answer.depths))).await.is_err() {
            return;
        }
    }
}

pub(super) async fn circuits(channel: Channel, reports: Reports) {
    let mut tools = ToolServiceClient::new(channel);
    while !reports.is_closed() {
        if let Err(trouble) = follow_circuits(&mut tools, &reports).await {
            let _ = reports.send(Report::Circuits(Err(trouble))).await;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Follows them until the stream ends.
async fn follow_circuits(tools: &mut ToolServiceClient<Channel>, reports: &Reports) -> Result<(), Trouble> {
    let mut news = within(tools.watch_circuits(WatchCircuitsRequest {})).await?;
    let mut ticks = every(COUNTS_EVERY);
    loop {
        let report = select! {
            told = news.message() => match told? {
                Some(told) => Report::Circuit(told.circuit.unwrap_or_default()),
                None => return Ok(()),
            },
            _ = ticks.tick() => {
                Report::Circuits(Ok(within(tools.list_circuits(ListCircuitsRequest {})).await?.circuits))
            }
        };
        if reports.send(report).await.is_err() {
            return Ok(());
        }
    }
}

pub(super) async fn capacity(channel: Channel, reports: Reports) {
    let mut models = LlmServiceClient::new(channel);
    while !reports.is_closed() {
        if let Err(trouble) = follow_capacity(&mut models, &reports).await {
            let _ = reports.send(Report::Capacity(Err(trouble))).await;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn follow_capacity(models: &mut LlmServiceClient<Channel>, reports: &Reports) -> Result<(), Trouble> {
    let all = WatchCapacityRequest { model: String::new(), interval: Some(time::duration(CAPACITY_INTERVAL)) };
    let mut news = within(models.watch_capacity(all)).await?;
    let mut ticks = every(COUNTS_EVERY);
    loop {
        let providers = select! {
            told = news.message() => match told? {
                Some(told) => told.providers,
                None => return Ok(()),
            },
            // Also shows that somebody is there, where nothing changes.
            _ = ticks.tick() => within(models.get_capacity(GetCapacityRequest::default())).await?.providers,
        };
        if reports.send(Report::Capacity(Ok(providers))).await.is_err() {
            return Ok(());
        }
    }
}

pub(super) async fn invocations(channel: Channel, mut wanted: watch::Receiver<Wanted>, reports: Reports) {
    let mut gateway = InvocationServiceClient::new(channel);
    let mut ticks = every(INVOCATIONS_EVERY);
    loop {
        select! {
            _ = ticks.tick() => {}
            changed = wanted.changed() => if changed.is_err() { return },
        }
        let Some(listing) = wanted.borrow_and_update().listing.clone() else { continue };
        let answer = within(gateway.list_invocations(request(&listing))).await;
        let answer = answer.map(|page| page.invocations);
        if reports.send(Report::Invocations { listing, answer }).await.is_err() {
            return;
        }
    }
}

fn request(listing: &Listing) -> ListInvocationsRequest {
    ListInvocationsRequest {
        agent: listing.agent.clone(),
        states: listing.state.map(i32::from).into_iter().collect(),
        page_size: INVOCATIONS_MAX,
        ..Default::default()
    }
}
