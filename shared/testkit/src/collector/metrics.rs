use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::MetricsService;
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics};
use prost::Message as _;
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use super::{Verbatim, texts};

/// One push of metrics as it came over OTLP.
#[derive(Debug, Clone, Default)]
pub struct ReceivedMetrics {
    /// The `service.name` of the process that sent it.
    pub service: String,
    /// Its `service.instance.id`.
    pub instance: String,
    /// Every value by its series, as Prometheus' text format would name it, labels by name: `a_total{b="c",d="e"}`.
    pub series: BTreeMap<String, f64>,
    /// Unit and help of each metric by its name.
    pub described: BTreeMap<String, (String, String)>,
}

pub(super) struct Keeper {
    pub(super) pushes: watch::Sender<Vec<ReceivedMetrics>>,
    pub(super) verbatim: Verbatim,
}

#[tonic::async_trait]
impl MetricsService for Keeper {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let request = request.into_inner();
        self.verbatim.keep(|| request.encode_to_vec());
        let received: Vec<_> = request.resource_metrics.into_iter().map(received).collect();
        self.pushes.send_modify(|pushes| pushes.extend(received));
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

fn received(push: ResourceMetrics) -> ReceivedMetrics {
    let attributes: BTreeMap<_, _> =
        texts(push.resource.map(|resource| resource.attributes).unwrap_or_default()).collect();
    let attribute = |name: &str| attributes.get(name).cloned().unwrap_or_default();
    let mut received = ReceivedMetrics {
        service: attribute("service.name"),
        instance: attribute("service.instance.id"),
        ..Default::default()
    };
    for metric in push.scope_metrics.into_iter().flat_map(|scope| scope.metrics) {
        let Metric { name, unit, description, data, .. } = metric;
        match data {
            Some(Data::Sum(sum)) => received.numbers(&name, sum.data_points),
            Some(Data::Gauge(gauge)) => received.numbers(&name, gauge.data_points),
            Some(Data::Histogram(histogram)) => {
                histogram.data_points.into_iter().for_each(|point| received.histogram(&name, point));
            }
            _ => {}
        }
        received.described.insert(name, (unit, description));
    }
    received
}

impl ReceivedMetrics {
    fn numbers(&mut self, name: &str, points: Vec<NumberDataPoint>) {
        for point in points {
            let value = match point.value {
                Some(Value::AsDouble(value)) => value,
                Some(Value::AsInt(value)) => value as f64,
                None => continue,
            };
            self.series.insert(series(name, point.attributes, None), value);
        }
    }

    fn histogram(&mut self, name: &str, point: HistogramDataPoint) {
        let bounds = point.explicit_bounds.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
        let mut below = 0;
        for (bound, count) in bounds.zip(&point.bucket_counts) {
            below += count;
            let series = series(&format!("{name}_bucket"), point.attributes.clone(), Some(bound));
            self.series.insert(series, below as f64);
        }
        self.series
            .insert(series(&format!("{name}_sum"), point.attributes.clone(), None), point.sum.unwrap_or_default());
        self.series.insert(series(&format!("{name}_count"), point.attributes, None), point.count as f64);
    }
}

fn series(name: &str, attributes: Vec<KeyValue>, bound: Option<String>) -> String {
    let labels: BTreeMap<_, _> = texts(attributes).chain(bound.map(|bound| ("le".to_owned(), bound))).collect();
    let labels: Vec<_> = labels.into_iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    if labels.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", labels.join(",")) }
}
