//! What this service counts, in one place.

use std::time::Duration;

use metrics::{Gauge, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use crate::domain::Usage;

/// Help texts and units of everything below.
pub(crate) fn describe() {
    describe_counter!(
        "holdfast_llm_tokens_total",
        Unit::Count,
        "Tokens by model, tenant and direction, as providers count them."
    );
    describe_counter!(
        "holdfast_llm_calls_total",
        Unit::Count,
        "Requests sent to providers, by deployment and outcome."
    );
    describe_histogram!(
        "holdfast_llm_wait_seconds",
        Unit::Seconds,
        "Time that calls waited for a provider's limits, by model."
    );
    describe_histogram!(
        "holdfast_llm_call_seconds",
        Unit::Seconds,
        "Time that calls took at providers, by deployment."
    );
    describe_counter!(
        "holdfast_llm_provider_429_total",
        Unit::Count,
        "How often a provider said 429, by provider and key."
    );
    describe_counter!(
        "holdfast_llm_refused_total",
        Unit::Count,
        "Calls that were told to come back later, by model and reason."
    );
    describe_gauge!("holdfast_llm_waiting", Unit::Count, "Calls in line, by provider.");
    describe_gauge!("holdfast_llm_in_flight", Unit::Count, "Calls at the provider, by provider and key.");
    describe_gauge!(
        "holdfast_llm_key_usable",
        Unit::Count,
        "1 while the provider takes a key, 0 from its refusal until it takes it again."
    );
    describe_gauge!(
        "holdfast_llm_circuit_open",
        Unit::Count,
        "1 while a deployment's circuit is not closed, by deployment."
    );
}

/// The gauges of one provider's gate.
pub(crate) struct Gauges {
    waiting: Gauge,
    keys: Vec<KeyGauges>,
}

struct KeyGauges {
    in_flight: Gauge,
    usable: Gauge,
    labels: (String, String),
}

impl Gauges {
    pub(crate) fn new<'k>(provider: &str, keys: impl Iterator<Item = &'k str>) -> Self {
        let key = |key: &str| KeyGauges {
            in_flight: gauge!("holdfast_llm_in_flight", "provider" => provider.to_owned(), "key" => key.to_owned()),
            usable: gauge!("holdfast_llm_key_usable", "provider" => provider.to_owned(), "key" => key.to_owned()),
            labels: (provider.to_owned(), key.to_owned()),
        };
        let keys: Vec<_> = keys.map(key).collect();
        keys.iter().for_each(|key| key.usable.set(1.0));
        Self { waiting: gauge!("holdfast_llm_waiting", "provider" => provider.to_owned()), keys }
    }

    pub(crate) fn in_line(&self, calls: usize) {
        self.waiting.set(calls as f64);
    }

    pub(crate) fn called(&self, key: usize, change: f64) {
        self.keys[key].in_flight.increment(change);
    }

    pub(crate) fn taken(&self, key: usize) {
        self.keys[key].usable.set(1.0);
    }

    pub(crate) fn rests(&self, key: usize) {
        let KeyGauges { usable, labels: (provider, key), .. } = &self.keys[key];
        usable.set(0.0);
        counter!("holdfast_llm_provider_429_total", "provider" => provider.clone(), "key" => key.clone()).increment(1);
    }

    pub(crate) fn denied(&self, key: usize) {
        self.keys[key].usable.set(0.0);
    }
}

impl std::fmt::Debug for Gauges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gauges")
    }
}

pub(crate) fn waited(model: &str, waited: Duration) {
    histogram!("holdfast_llm_wait_seconds", "model" => model.to_owned()).record(waited.as_secs_f64());
}

pub(crate) fn called(deployment: &str, outcome: &'static str, took: Duration) {
    counter!("holdfast_llm_calls_total", "deployment" => deployment.to_owned(), "outcome" => outcome).increment(1);
    histogram!("holdfast_llm_call_seconds", "deployment" => deployment.to_owned()).record(took.as_secs_f64());
}

pub(crate) fn refused(model: &str, reason: &'static str) {
    counter!("holdfast_llm_refused_total", "model" => model.to_owned(), "reason" => reason).increment(1);
}

pub(crate) fn used(model: &str, tenant: &str, usage: Usage) {
    let count = |direction: &'static str, tokens: u64| {
        counter!("holdfast_llm_tokens_total", "model" => model.to_owned(), "tenant" => tenant.to_owned(), "direction" => direction)
            .increment(tokens);
    };
    count("input", usage.input_tokens);
    count("output", usage.output_tokens);
}

pub(crate) fn circuit(deployment: &str, open: bool) {
    gauge!("holdfast_llm_circuit_open", "deployment" => deployment.to_owned()).set(if open { 1.0 } else { 0.0 });
}
