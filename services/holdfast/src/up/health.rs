//! Asks a service whether it serves.

use std::time::Duration;

use holdfast_config::{Common, Peer};
use holdfast_rpc::Channel;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

const ASK_EVERY: Duration = Duration::from_millis(50);
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// Returns once the service says that it serves.
pub(super) async fn serving(common: &Common, peer: Peer) {
    let mut ticks = interval(ASK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if timeout(ANSWER_WITHIN, is_serving(common, peer)).await.unwrap_or(false) {
            return;
        }
    }
}

async fn is_serving(common: &Common, peer: Peer) -> bool {
    // A new channel each time: the breaker of a used one would rather wait than ask.
    let Ok(channel) = Channel::to(common, peer) else { return false };
    let answer = HealthClient::new(channel).check(HealthCheckRequest { service: String::new() }).await;
    answer.is_ok_and(|answer| answer.into_inner().status() == ServingStatus::Serving)
}
