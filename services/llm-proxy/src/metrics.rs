//! What this service counts, in one place.

use std::time::Duration;

use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

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
        "holdfast_llm_key_quarantined",
        Unit::Count,
        "1 from the moment that the provider refuses a key until it takes it again: somebody has to look after it."
    );
    describe_gauge!(
        "holdfast_llm_circuit_open",
        Unit::Count,
        "1 while a deployment's circuit is not closed, by deployment."
    );
}

/// The gauges of one provider's gate.
pub(crate) struct Gauges {
    provider: String,
    waiting: Gauge,
}

/// The gauges of one key.
pub(crate) struct KeyGauges {
    in_flight: Gauge,
    usable: Gauge,
    quarantined: Gauge,
    limited: Counter,
}

impl Gauges {
    pub(crate) fn new(provider: &str) -> Self {
        let waiting = gauge!("holdfast_llm_waiting", "provider" => provider.to_owned());
        Self { provider: provider.to_owned(), waiting }
    }

    pub(crate) fn of_key(&self, key: &str) -> KeyGauges {
        let labels = [("provider", self.provider.clone()), ("key", key.to_owned())];
        let gauges = KeyGauges {
            in_flight: gauge!("holdfast_llm_in_flight", &labels),
            usable: gauge!("holdfast_llm_key_usable", &labels),
            quarantined: gauge!("holdfast_llm_key_quarantined", &labels),
            limited: counter!("holdfast_llm_provider_429_total", &labels),
        };
        gauges.taken();
        gauges
    }

    pub(crate) fn in_line(&self, calls: usize) {
        self.waiting.set(calls as f64);
    }
}

impl KeyGauges {
    pub(crate) fn called(&self, change: f64) {
        self.in_flight.increment(change);
    }

    /// The provider takes the key.
    pub(crate) fn taken(&self) {
        self.usable.set(1.0);
        self.quarantined.set(0.0);
    }

    /// It said 429.
    pub(crate) fn rests(&self) {
        self.usable.set(0.0);
        self.limited.increment(1);
    }

    /// It does not take the key.
    pub(crate) fn denied(&self) {
        self.usable.set(0.0);
        self.quarantined.set(1.0);
    }

    /// The key is not used any more.
    pub(crate) fn removed(&self) {
        self.usable.set(0.0);
        self.quarantined.set(0.0);
    }
}

impl std::fmt::Debug for Gauges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gauges")
    }
}

impl std::fmt::Debug for KeyGauges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyGauges")
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
