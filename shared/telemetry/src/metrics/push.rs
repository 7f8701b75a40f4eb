//! Sends the page to a collector, now and then. There is no queue: a push that fails is made up for by the next one, which
//! has all that this one had.

use std::{
    error::Error as _,
    iter::successors,
    time::{Duration, SystemTime},
};

use metrics::{Unit, counter, describe_counter};
use opentelemetry_proto::tonic::{
    collector::metrics::v1::{ExportMetricsServiceRequest, metrics_service_client::MetricsServiceClient},
    common::v1::InstrumentationScope,
    metrics::v1::{Gauge, Histogram, Metric, ResourceMetrics, ScopeMetrics, Sum, metric::Data},
    resource::v1::Resource as WireResource,
};
use opentelemetry_sdk::Resource;
use prost::Message;
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};
use tonic::{Request, Status, metadata::MetadataMap, transport::Channel};

use super::{
    Shown,
    otlp::{self, Times},
    settings::Settings,
};
use crate::collector::Collector;

/// The last push may keep a process from ending for so long.
const LAST_WITHIN: Duration = Duration::from_secs(2);
/// The metrics in one message. Collectors take 4 MiB: there is room left for what stands around them.
const BYTES_MAX: usize = 3 << 20;

pub(super) fn describe() {
    describe_counter!(
        "holdfast_metric_pushes_total",
        Unit::Count,
        "Pushes of all metrics to the collector by outcome: exported, failed."
    );
}

/// The task that pushes. It ends by [`Pusher::stop`].
#[derive(Debug)]
pub(crate) struct Pusher {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Pusher {
    pub(super) fn start(shown: Shown, resource: &Resource, settings: Settings) -> Self {
        let (stop, stopped) = oneshot::channel();
        let push = Push::new(shown, resource, settings.collector);
        Self { stop, task: tokio::spawn(push.run(settings.every, stopped)) }
    }

    /// Pushes what was counted last, unless that takes too long.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        if let Err(error) = self.task.await {
            tracing::warn!(%error, "metrics were not pushed to the end");
        }
    }
}

struct Push {
    shown: Shown,
    resource: WireResource,
    client: MetricsServiceClient<Channel>,
    headers: MetadataMap,
    timeout: Duration,
    /// The last push came to nothing: that is said once, not each minute.
    fails: bool,
}

impl Push {
    fn new(shown: Shown, resource: &Resource, to: Collector) -> Self {
        let attributes = resource.iter().map(|(name, value)| otlp::text(name.as_str(), value.to_string()));
        Self {
            shown,
            resource: WireResource { attributes: attributes.collect(), ..WireResource::default() },
            client: MetricsServiceClient::new(to.endpoint.connect_lazy()),
            headers: to.headers,
            timeout: to.timeout,
            fails: false,
        }
    }

    async fn run(mut self, every: Duration, mut stopped: oneshot::Receiver<()>) {
        let mut ticks = interval_at(Instant::now() + every, every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let pushing = async {
            loop {
                ticks.tick().await;
                self.once().await;
            }
        };
        tokio::select! {
            () = pushing => {}
            _ = &mut stopped => {}
        }
        self.timeout = self.timeout.min(LAST_WITHIN);
        self.once().await;
    }

    /// Pushes everything, and tells what became of it.
    async fn once(&mut self) -> bool {
        let outcome = self.send().await;
        let name = if outcome.is_ok() { "exported" } else { "failed" };
        counter!("holdfast_metric_pushes_total", "outcome" => name).increment(1);
        match &outcome {
            Err(error) if !self.fails => {
                let why = self.why(error);
                tracing::warn!(error = why, code = ?error.code(), "the collector does not take metrics");
            }
            Ok(()) if self.fails => tracing::info!("the collector takes metrics again"),
            _ => {}
        }
        self.fails = outcome.is_err();
        outcome.is_ok()
    }

    /// Why nothing was taken. A collector that was shown a key may repeat it in its words.
    fn why(&self, error: &Status) -> String {
        match error.source() {
            Some(_) => {
                let causes = successors(error.source(), |&cause| cause.source()).map(ToString::to_string);
                causes.collect::<Vec<_>>().join(": ")
            }
            None if self.headers.is_empty() => error.message().to_owned(),
            None => "not shown, for headers may be in it".to_owned(),
        }
    }

    async fn send(&mut self) -> Result<(), Status> {
        let times = Times::new(self.shown.since, SystemTime::now());
        let metrics = otlp::metrics(&self.shown.page(), &self.shown.units, times);
        let within = self.timeout;
        let all = async {
            let mut outcome = Ok(());
            for metrics in messages(metrics) {
                // What is wrong with one need not be wrong with the others.
                outcome = outcome.and(self.send_one(metrics).await);
            }
            outcome
        };
        timeout(within, all).await.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time")))
    }

    async fn send_one(&mut self, metrics: Vec<Metric>) -> Result<(), Status> {
        let scope = InstrumentationScope { name: "holdfast".into(), ..InstrumentationScope::default() };
        let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics, ..ScopeMetrics::default() }];
        let resource = Some(self.resource.clone());
        let resource_metrics = vec![ResourceMetrics { resource, scope_metrics, ..ResourceMetrics::default() }];
        let mut request = Request::new(ExportMetricsServiceRequest { resource_metrics });
        *request.metadata_mut() = self.headers.clone();
        let answer = self.client.export(request).await?.into_inner();
        match answer.partial_success {
            Some(partly) if partly.rejected_data_points > 0 => Err(Status::invalid_argument(partly.error_message)),
            _ => Ok(()),
        }
    }
}

/// Metrics in messages of a bounded size, those with many series in several.
fn messages(metrics: Vec<Metric>) -> Vec<Vec<Metric>> {
    batches(metrics.into_iter().flat_map(parts).collect())
}

/// A metric with so many of its series each time as one message holds.
fn parts(metric: Metric) -> Vec<Metric> {
    let Metric { name, description, unit, metadata, data } = metric;
    let data: Vec<Option<Data>> = match data {
        Some(Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic })) => batches(data_points)
            .into_iter()
            .map(|data_points| Some(Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic })))
            .collect(),
        Some(Data::Gauge(Gauge { data_points })) => {
            batches(data_points).into_iter().map(|data_points| Some(Data::Gauge(Gauge { data_points }))).collect()
        }
        Some(Data::Histogram(Histogram { data_points, aggregation_temporality })) => batches(data_points)
            .into_iter()
            .map(|data_points| Some(Data::Histogram(Histogram { data_points, aggregation_temporality })))
            .collect(),
        data => vec![data],
    };
    let part = |data| Metric {
        name: name.clone(),
        description: description.clone(),
        unit: unit.clone(),
        metadata: metadata.clone(),
        data,
    };
    data.into_iter().map(part).collect()
}

/// All of these in their order, in lists of a bounded size; one that is larger stands alone.
fn batches<T: Message>(all: Vec<T>) -> Vec<Vec<T>> {
    let (mut batches, mut batch, mut bytes) = (Vec::new(), Vec::new(), 0);
    for one in all {
        // Before each stand its kind and its length.
        let more = one.encoded_len() + 6;
        if bytes + more > BYTES_MAX && !batch.is_empty() {
            batches.push(std::mem::take(&mut batch));
            bytes = 0;
        }
        bytes += more;
        batch.push(one);
    }
    batches.push(batch);
    batches
}

#[cfg(test)]
mod tests;
