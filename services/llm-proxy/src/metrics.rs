//! What this service counts, in one place.

pub(crate) mod accounts;
mod calls;
mod estimates;
pub(crate) mod levels;
mod sharing;

use holdfast_resilience::breaker::State;
use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};

pub(crate) use self::{
    calls::{Calls, Waits, fell_back, refused},
    estimates::Estimates,
    sharing::{limits_shared, round},
};

/// Help texts and units of everything below.
pub(crate) fn describe() {
    accounts::describe();
    calls::describe();
    estimates::describe();
    levels::describe();
    sharing::describe();
    describe_counter!(
        "holdfast_llm_provider_429_total",
        Unit::Count,
        "How often a provider said 429, by provider and key."
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
    describe_gauge!("holdfast_circuit_state", Unit::Count, "A circuit breaker: 0 closed, 1 half-open, 2 open.");
    describe_counter!("holdfast_circuit_transitions_total", Unit::Count, "Changes of a circuit breaker by new state.");
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

/// The circuit of a deployment changed.
pub(crate) fn circuit_changed(circuit: &str, state: State) {
    let to = match state {
        State::Closed => "closed",
        State::HalfOpen => "half_open",
        State::Open => "open",
    };
    counter!("holdfast_circuit_transitions_total", "circuit" => circuit.to_owned(), "to" => to).increment(1);
    circuit_stands(circuit, state);
}

/// How the circuit of a deployment stands.
pub(crate) fn circuit_stands(circuit: &str, state: State) {
    let level = match state {
        State::Closed => 0.0,
        State::HalfOpen => 1.0,
        State::Open => 2.0,
    };
    gauge!("holdfast_circuit_state", "circuit" => circuit.to_owned()).set(level);
}
