//! The page as a collector takes it: counters and histograms since the process began, gauges as they stand.

use std::time::SystemTime;

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, any_value},
    metrics::v1::{
        AggregationTemporality::Cumulative, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, Sum,
        metric::Data, number_data_point::Value,
    },
};

use super::{
    page::{self, Kind, Line, Sample},
    units::Units,
};

/// When the values began, and when they were read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    since: u64,
    now: u64,
}

impl Times {
    pub(super) fn new(since: SystemTime, now: SystemTime) -> Self {
        // Nanoseconds since 1970 fit until 2554.
        let nanos =
            |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
        Self { since: nanos(since), now: nanos(now) }
    }
}

/// All metrics of a page.
pub(super) fn metrics(page: &str, units: &Units, times: Times) -> Vec<Metric> {
    let (mut metrics, mut help) = (Vec::<Metric>::new(), ("", String::new()));
    let mut histogram = HistogramDataPoint::default();
    for line in page::lines(page) {
        match line {
            Line::Help { name, text } => help = (name, text),
            Line::Type { name, kind } => {
                let description = if help.0 == name { std::mem::take(&mut help.1) } else { String::new() };
                let (name, unit) = (name.to_owned(), units.of(name).to_owned());
                metrics.push(Metric { name, description, unit, data: Some(empty(kind)), ..Metric::default() });
            }
            Line::Sample(sample) => {
                let Some(metric) = metrics.last_mut() else { continue };
                match &mut metric.data {
                    Some(Data::Sum(Sum { data_points, .. }) | Data::Gauge(Gauge { data_points })) => {
                        data_points.extend(number(&sample, times));
                    }
                    Some(Data::Histogram(Histogram { data_points, .. })) => {
                        let part = sample.name.strip_prefix(metric.name.as_str()).unwrap_or_default();
                        data_points.extend(add_part(&mut histogram, part, &sample, times));
                    }
                    _ => {}
                }
            }
        }
    }
    metrics
}

fn empty(kind: Kind) -> Data {
    let aggregation_temporality = Cumulative.into();
    match kind {
        Kind::Counter => Data::Sum(Sum { data_points: Vec::new(), aggregation_temporality, is_monotonic: true }),
        Kind::Gauge => Data::Gauge(Gauge { data_points: Vec::new() }),
        Kind::Histogram => Data::Histogram(Histogram { data_points: Vec::new(), aggregation_temporality }),
    }
}

fn number(sample: &Sample<'_>, times: Times) -> Option<NumberDataPoint> {
    // Gauges too: a kind of number that changes between two readings is two metrics to some.
    let value = Value::AsDouble(sample.value.parse().ok()?);
    Some(NumberDataPoint {
        attributes: attributes(&sample.labels),
        start_time_unix_nano: times.since,
        time_unix_nano: times.now,
        value: Some(value),
        ..NumberDataPoint::default()
    })
}

/// The lines of one histogram follow each other: its buckets, each with those below it, their sum, and last their count.
fn add_part(
    histogram: &mut HistogramDataPoint,
    part: &str,
    sample: &Sample<'_>,
    times: Times,
) -> Option<HistogramDataPoint> {
    match part {
        "_bucket" => {
            let bound: f64 = sample.labels.iter().find(|(name, _)| *name == "le")?.1.parse().ok()?;
            let below: u64 = histogram.bucket_counts.iter().sum();
            histogram.bucket_counts.push(sample.value.parse::<u64>().ok()?.saturating_sub(below));
            // What is above the last bound has no bound.
            histogram.explicit_bounds.extend(Some(bound).filter(|bound| bound.is_finite()));
            None
        }
        "_sum" => {
            histogram.sum = sample.value.parse().ok();
            None
        }
        "_count" => Some(HistogramDataPoint {
            attributes: attributes(&sample.labels),
            start_time_unix_nano: times.since,
            time_unix_nano: times.now,
            count: sample.value.parse().ok()?,
            ..std::mem::take(histogram)
        }),
        _ => None,
    }
}

fn attributes(labels: &[(&str, String)]) -> Vec<KeyValue> {
    labels.iter().map(|(name, value)| text(name, value.clone())).collect()
}

/// An attribute.
pub(super) fn text(name: &str, value: String) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value)) });
    KeyValue { key: name.to_owned(), value, ..KeyValue::default() }
}

#[cfg(test)]
mod tests;
