//! One process, asked at its own address: its health by gRPC, its metrics page over HTTP on the same connection.

use std::time::Duration;

use holdfast_rpc::{Channel, HttpRequest};
use http_body_util::{BodyExt as _, Limited};
use tokio::sync::mpsc;
use tonic::body::Body;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tower::{Service as _, ServiceExt as _};

use super::super::event::Report;
use super::super::known::{Health, Trouble, TroubleKind};
use super::super::metrics::Page;
use super::{ANSWER_WITHIN, every, silent, within};

const HEALTH_EVERY: Duration = Duration::from_millis(500);
const METRICS_EVERY: Duration = Duration::from_secs(1);
/// A larger page is no metrics page of ours.
const PAGE_BYTES_MAX: usize = 8 << 20;

pub(super) async fn health(process: usize, channel: Channel, reports: mpsc::Sender<Report>) {
    let mut client = HealthClient::new(channel);
    let mut ticks = every(HEALTH_EVERY);
    loop {
        ticks.tick().await;
        let answer = within(client.check(HealthCheckRequest { service: String::new() })).await;
        let answer = answer.map(|answer| match answer.status() {
            ServingStatus::Serving => Health::Serving,
            _ => Health::NotServing,
        });
        if reports.send(Report::Health { process, answer }).await.is_err() {
            return;
        }
    }
}

pub(super) async fn metrics(process: usize, mut channel: Channel, reports: mpsc::Sender<Report>) {
    let mut ticks = every(METRICS_EVERY);
    loop {
        ticks.tick().await;
        let answer = tokio::time::timeout(ANSWER_WITHIN, page(&mut channel)).await.unwrap_or_else(|_| Err(silent()));
        if reports.send(Report::Metrics { process, answer }).await.is_err() {
            return;
        }
    }
}

async fn page(channel: &mut Channel) -> Result<Page, Trouble> {
    let refused = |why: String| Trouble { kind: TroubleKind::Refused, why };
    let mut request = HttpRequest::new(Body::empty());
    *request.uri_mut() = http::Uri::from_static("/metrics");
    let answer = channel.ready().await?.call(request).await?;
    if !answer.status().is_success() {
        return Err(refused(format!("/metrics says {}", answer.status())));
    }
    let body = Limited::new(answer.into_body(), PAGE_BYTES_MAX).collect().await;
    let body = body.map_err(|error| refused(format!("/metrics breaks off: {error}")))?.to_bytes();
    Ok(Page::parse(&String::from_utf8_lossy(&body)))
}
