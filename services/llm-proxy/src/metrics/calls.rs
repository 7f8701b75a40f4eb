//! Calls: their waits, their ends, and the deployments that they passed by. What every call counts has its handle looked
//! up once.

use std::time::Duration;

use metrics::{Counter, Histogram, Unit, counter, describe_counter, describe_histogram, histogram};

pub(super) fn describe() {
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
        "holdfast_llm_refused_total",
        Unit::Count,
        "Calls that were told to come back later, by model and reason."
    );
    describe_counter!(
        "holdfast_llm_fallbacks_total",
        Unit::Count,
        "Calls that another deployment or the last fallback answered, by model, the deployment passed by, and the reason."
    );
}

/// What is counted of one deployment.
pub(crate) struct Calls {
    deployment: String,
    answered: Counter,
    seconds: Histogram,
}

impl Calls {
    pub(crate) fn of(deployment: &str) -> Self {
        Self {
            answered: counter!("holdfast_llm_calls_total", "deployment" => deployment.to_owned(), "outcome" => "answered"),
            seconds: histogram!("holdfast_llm_call_seconds", "deployment" => deployment.to_owned()),
            deployment: deployment.to_owned(),
        }
    }

    pub(crate) fn answered(&self, took: Duration) {
        self.answered.increment(1);
        self.seconds.record(took.as_secs_f64());
    }

    pub(crate) fn failed(&self, outcome: &'static str, took: Duration) {
        counter!("holdfast_llm_calls_total", "deployment" => self.deployment.clone(), "outcome" => outcome)
            .increment(1);
        self.seconds.record(took.as_secs_f64());
    }
}

/// How long the calls of one model waited.
pub(crate) struct Waits(Histogram);

impl Waits {
    pub(crate) fn of(model: &str) -> Self {
        Self(histogram!("holdfast_llm_wait_seconds", "model" => model.to_owned()))
    }

    pub(crate) fn waited(&self, waited: Duration) {
        self.0.record(waited.as_secs_f64());
    }
}

impl std::fmt::Debug for Calls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Calls").field(&self.deployment).finish()
    }
}

impl std::fmt::Debug for Waits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Waits")
    }
}

pub(crate) fn refused(model: &str, reason: &'static str) {
    counter!("holdfast_llm_refused_total", "model" => model.to_owned(), "reason" => reason).increment(1);
}

pub(crate) fn fell_back(model: &str, from: &str, reason: &'static str) {
    let labels = [("model", model.to_owned()), ("from", from.to_owned()), ("reason", reason.to_owned())];
    counter!("holdfast_llm_fallbacks_total", &labels).increment(1);
}
