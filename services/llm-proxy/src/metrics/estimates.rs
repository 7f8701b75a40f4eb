//! How far estimates were off.

use metrics::{Histogram, Unit, describe_histogram, histogram};

use crate::domain::{Need, Usage};

pub(super) fn describe() {
    describe_histogram!(
        "holdfast_llm_estimate_percent",
        Unit::Percent,
        "What calls used, in hundredths of what was set aside for them, by deployment and direction."
    );
}

/// Those of one deployment.
pub(crate) struct Estimates {
    input: Histogram,
    output: Histogram,
}

impl Estimates {
    pub(crate) fn of(deployment: &str) -> Self {
        let histogram = |direction: &'static str| histogram!("holdfast_llm_estimate_percent", "deployment" => deployment.to_owned(), "direction" => direction);
        Self { input: histogram("input"), output: histogram("output") }
    }

    pub(crate) fn was(&self, set_aside: Need, used: Usage) {
        let percent = |used: u64, of: u64| used as f64 * 100.0 / of.max(1) as f64;
        self.input.record(percent(used.input_tokens, set_aside.input));
        self.output.record(percent(used.output_tokens, set_aside.output));
    }
}

impl std::fmt::Debug for Estimates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Estimates")
    }
}
