//! What every process shows of itself: counted by a library, which describes it when it is asked.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit, with_local_recorder};

use super::code::{Described, unit};

/// By name.
pub fn described() -> BTreeMap<String, Described> {
    let listener = Listener::default();
    with_local_recorder(&listener, || metrics_process::Collector::default().describe());
    listener.0.into_inner()
}

#[derive(Default)]
struct Listener(RefCell<BTreeMap<String, Described>>);

impl Listener {
    fn hear(&self, kind: &str, name: &KeyName, of: Option<Unit>, help: &SharedString) {
        let unit = of.map(|of| unit(&format!("{of:?}"))).unwrap_or_default();
        let crates = BTreeSet::from(["telemetry".to_owned()]);
        let described = Described { kind: kind.to_owned(), unit, help: help.to_string(), of: crates };
        self.0.borrow_mut().insert(name.as_str().to_owned(), described);
    }
}

impl Recorder for Listener {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        self.hear("counter", &name, unit, &help);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        // Seconds that only rise are kept in a gauge, for a counter has whole ones, and shown as a counter.
        let kind = if name.as_str().ends_with("_total") { "counter" } else { "gauge" };
        self.hear(kind, &name, unit, &help);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        self.hear("histogram", &name, unit, &help);
    }

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}
