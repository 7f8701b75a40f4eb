//! Tokens and budgets.

use metrics::{Counter, Label, Unit, counter, describe_counter};

use crate::domain::Usage;

pub(super) fn describe() {
    describe_counter!(
        "holdfast_llm_tokens_total",
        Unit::Count,
        "Tokens by model, tenant, agent and direction, as providers count them."
    );
    describe_counter!(
        "holdfast_llm_key_tokens_total",
        Unit::Count,
        "Tokens by provider, key and direction, as providers count them."
    );
    describe_counter!(
        "holdfast_llm_tokens_estimated_total",
        Unit::Count,
        "Tokens of calls that broke off, were given up or whose provider does not count, as far as was seen or must be \
         assumed, by model, tenant, agent and direction."
    );
    describe_counter!(
        "holdfast_llm_over_budget_total",
        Unit::Count,
        "Calls that were refused because too little was left of a budget, by budget."
    );
    describe_counter!(
        "holdfast_llm_budget_state_failures_total",
        Unit::Count,
        "Questions to the state service about budgets that had no good answer, by kind (read, write)."
    );
    describe_counter!(
        "holdfast_llm_budget_forgotten_total",
        Unit::Count,
        "Budgets of which something was forgotten before it could be kept, because there were too many."
    );
}

/// Tokens read and written.
pub(crate) struct Tokens {
    input: Counter,
    output: Counter,
}

impl Tokens {
    pub(crate) fn of_call(model: &str, tenant: &str, agent: &str) -> Self {
        Self::new("holdfast_llm_tokens_total", &[("model", model), ("tenant", tenant), ("agent", agent)])
    }

    pub(crate) fn of_lost_call(model: &str, tenant: &str, agent: &str) -> Self {
        Self::new("holdfast_llm_tokens_estimated_total", &[("model", model), ("tenant", tenant), ("agent", agent)])
    }

    pub(crate) fn of_key(provider: &str, key: &str) -> Self {
        Self::new("holdfast_llm_key_tokens_total", &[("provider", provider), ("key", key)])
    }

    fn new(name: &'static str, labels: &[(&'static str, &str)]) -> Self {
        let counter = |direction| {
            let direction = [("direction", direction)];
            let labels = labels.iter().chain(&direction);
            counter!(name, labels.map(|(name, value)| Label::new(*name, (*value).to_owned())).collect::<Vec<_>>())
        };
        Self { input: counter("input"), output: counter("output") }
    }

    pub(crate) fn add(&self, usage: Usage) {
        self.input.increment(usage.input_tokens);
        self.output.increment(usage.output_tokens);
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens")
    }
}

pub(crate) fn over_budget(budget: &'static str) {
    counter!("holdfast_llm_over_budget_total", "budget" => budget).increment(1);
}

pub(crate) fn state_failed(kind: &'static str) {
    counter!("holdfast_llm_budget_state_failures_total", "kind" => kind).increment(1);
}

pub(crate) fn forgotten() {
    counter!("holdfast_llm_budget_forgotten_total").increment(1);
}
