//! Remembers each metric's unit, which the text format does not tell and a collector wants to know.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use metrics_exporter_prometheus::PrometheusRecorder;

/// Units by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Units(Arc<Mutex<HashMap<String, Unit>>>);

impl Units {
    fn keep(&self, name: &KeyName, unit: Option<Unit>) {
        if let Some(unit) = unit {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.as_str().to_owned(), unit);
        }
    }

    /// A metric's unit in the words of the Unified Code for Units of Measure. What is counted is an annotation, in braces:
    /// from other units collectors make new endings for the names, and dashboards would no longer find them.
    pub(super) fn of(&self, name: &str) -> &'static str {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name) {
            None => "",
            Some(Unit::Seconds) => "s",
            Some(Unit::Bytes) => "By",
            Some(Unit::Percent) => "%",
            Some(Unit::CountPerSecond) => "{count_per_second}",
            Some(_) => "{count}",
        }
    }
}

/// Records as Prometheus' recorder does: it is only listened to when a metric is described.
#[derive(Debug)]
pub(super) struct WithUnits {
    recorder: PrometheusRecorder,
    units: Units,
}

impl WithUnits {
    pub(super) fn new(recorder: PrometheusRecorder, units: Units) -> Self {
        Self { recorder, units }
    }
}

impl Recorder for WithUnits {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, description: SharedString) {
        self.units.keep(&name, unit);
        self.recorder.describe_counter(name, unit, description);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, description: SharedString) {
        self.units.keep(&name, unit);
        self.recorder.describe_gauge(name, unit, description);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, description: SharedString) {
        self.units.keep(&name, unit);
        self.recorder.describe_histogram(name, unit, description);
    }

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        self.recorder.register_counter(key, metadata)
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        self.recorder.register_gauge(key, metadata)
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        self.recorder.register_histogram(key, metadata)
    }
}
