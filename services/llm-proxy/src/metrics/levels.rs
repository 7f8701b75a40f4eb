//! The levels of the providers' limits.

use metrics::{Unit, describe_gauge, gauge};

use crate::domain::{Kind, LimitCapacity};

pub(super) fn describe() {
    describe_gauge!(
        "holdfast_llm_limit",
        Unit::Count,
        "What a key may use of a limit (requests, tokens, input_tokens and output_tokens in a minute; requests_per_day, \
         tokens_per_day; concurrency), by provider, key and upstream model (empty: over all). 0 once the key is removed."
    );
    describe_gauge!("holdfast_llm_limit_available", Unit::Count, "What of a limit is free now, by the same labels.");
}

/// A limit of one key, over all models or for one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Limit {
    pub(crate) provider: String,
    pub(crate) key: String,
    pub(crate) model: String,
    pub(crate) kind: Kind,
}

/// How it stands.
pub(crate) fn level(of: &Limit, LimitCapacity { limit, available, .. }: &LimitCapacity) {
    set(of, *limit as f64, *available as f64);
}

/// Its key is not used any more.
pub(crate) fn removed(of: &Limit) {
    set(of, 0.0, 0.0);
}

fn set(of: &Limit, limit: f64, available: f64) {
    let labels = [
        ("provider", of.provider.clone()),
        ("key", of.key.clone()),
        ("model", of.model.clone()),
        ("limit", name(of.kind).to_owned()),
    ];
    gauge!("holdfast_llm_limit", &labels).set(limit);
    gauge!("holdfast_llm_limit_available", &labels).set(available);
}

const fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Requests => "requests",
        Kind::Tokens => "tokens",
        Kind::Input => "input_tokens",
        Kind::Output => "output_tokens",
        Kind::Concurrency => "concurrency",
        Kind::RequestsPerDay => "requests_per_day",
        Kind::TokensPerDay => "tokens_per_day",
    }
}
