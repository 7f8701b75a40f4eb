//! What went wrong on the way through a model's deployments, and what the caller is told in the end.

use std::time::Duration;

use holdfast_rpc::Error;

use crate::{
    domain::{Refusal, Why},
    metrics,
    provider::Failure,
};

/// When to come back to a provider that failed without saying when.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Collects it. A line that is only long says more than a provider that is gone: there is a time to come back at.
#[derive(Debug)]
pub(crate) struct Trouble<'m> {
    model: &'m str,
    refused: Option<Refusal>,
    gone: Option<(String, Duration)>,
    no_model: Option<String>,
}

impl<'m> Trouble<'m> {
    pub(crate) fn new(model: &'m str) -> Self {
        Self { model, refused: None, gone: None, no_model: None }
    }

    /// The gate did not let the call in.
    pub(crate) fn refused(&mut self, provider: &str, refusal: Refusal) {
        if refusal.why == Why::NoKey {
            self.gone(format!("{provider} takes none of its keys"), refusal.retry_after);
        } else if self.refused.is_none_or(|before| refusal.retry_after < before.retry_after) {
            self.refused = Some(refusal);
        }
    }

    /// The deployment's circuit is open.
    pub(crate) fn open(&mut self, deployment: &str, retry_after: Duration) {
        self.gone(format!("the circuit of {deployment} is open"), retry_after);
    }

    /// The provider failed.
    pub(crate) fn failed(&mut self, deployment: &str, failure: &Failure) {
        match failure {
            Failure::NoModel { message } => self.no_model = Some(format!("{deployment}: {message}")),
            failure => self.gone(format!("{deployment}: {failure}"), RETRY_AFTER),
        }
    }

    fn gone(&mut self, why: String, retry_after: Duration) {
        if self.gone.as_ref().is_none_or(|(_, before)| retry_after < *before) {
            self.gone = Some((why, retry_after));
        }
    }

    /// What the caller is told.
    pub(crate) fn told(self) -> Error {
        if let Some(Refusal { why, retry_after, .. }) = self.refused {
            let (reason, message) = match why {
                Why::Full => ("full", "the line for this model is as long as it may be"),
                Why::Late | Why::Slow | Why::NoKey => ("late", "the model's limits leave no place before the call's deadline"),
            };
            metrics::refused(self.model, reason);
            return Error::exhausted(message, retry_after);
        }
        if let Some((why, retry_after)) = self.gone {
            metrics::refused(self.model, "gone");
            return Error::unavailable(format!("no deployment of the model answered: {why}"), retry_after);
        }
        let message = self.no_model.unwrap_or_else(|| "the model has no deployment".into());
        Error::precondition("NO_UPSTREAM_MODEL", message)
    }
}
