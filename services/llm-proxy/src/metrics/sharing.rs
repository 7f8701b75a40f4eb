use std::time::Duration;

use metrics::{Unit, describe_gauge, describe_histogram, gauge, histogram};

pub(super) fn describe() {
    describe_histogram!(
        "holdfast_llm_limits_round_seconds",
        Unit::Seconds,
        "Time that the ledger of shared limits took to answer, by provider."
    );
    describe_gauge!(
        "holdfast_llm_limits_shared",
        Unit::Count,
        "1 while a provider's limits are shared with other processes, 0 while this one has its part of the reserve alone."
    );
}

/// Whether the limits of a provider are shared just now.
pub(crate) fn limits_shared(provider: &str, shared: bool) {
    gauge!("holdfast_llm_limits_shared", "provider" => provider.to_owned()).set(if shared { 1.0 } else { 0.0 });
}

/// One round with its ledger.
pub(crate) fn round(provider: &str, took: Duration) {
    histogram!("holdfast_llm_limits_round_seconds", "provider" => provider.to_owned()).record(took);
}
