//! How the simulated ends misbehave: what may happen to a call.

mod dice;

use std::time::Duration;

use holdfast_config::Span;
use serde::{Deserialize, Serialize};

pub(crate) use self::dice::{Dice, End, Fate};
use crate::config::{write_span, write_span_or_none};

/// What may go wrong with each call. A rate is a share of the calls, from 0 to 1.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Time before the first byte of every answer.
    #[serde(serialize_with = "write_span")]
    pub latency: Span,
    /// Time for each token that a model writes.
    #[serde(serialize_with = "write_span")]
    pub per_token: Span,
    /// How many calls take `slow_by` longer.
    pub slow_rate: f64,
    /// How much longer the slow ones take.
    #[serde(serialize_with = "write_span")]
    pub slow_by: Span,
    /// How many calls are answered with `error_status`.
    pub error_rate: f64,
    /// The status of an error, such as 500, 429 or 401.
    pub error_status: u16,
    /// The seconds until an error ends, told as `hint` says; without one, by `Retry-After`.
    pub error_retry_after: Option<u64>,
    /// The error's code in a provider's words, such as `insufficient_quota`.
    pub error_code: Option<String>,
    /// How a provider's refusals say when to come back, those at a passed limit included.
    pub hint: Option<Hint>,
    /// How many calls hang before anything is done.
    pub hang_rate: f64,
    /// How long those hang until they are answered after all; absent means for ever.
    #[serde(serialize_with = "write_span_or_none")]
    pub hang_for: Option<Span>,
    /// How many calls take effect and are never answered.
    pub mute_rate: f64,
    /// How many answers break off.
    pub disconnect_rate: f64,
    /// After how many pieces of a stream they do; an answer that is whole breaks off in the middle.
    pub disconnect_after: usize,
    /// A stream says in an event of its own that it breaks off, as providers do that still can.
    pub disconnect_error: bool,
    /// How many calls this lasts for; absent means until it is changed.
    pub times: Option<u64>,
    /// Well and ill by turns; absent means ill for as long as this lasts.
    pub flap: Option<Flap>,
}

/// Faults that come and go, whatever is called meanwhile. They begin with being there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Flap {
    /// How long the faults strike.
    #[serde(serialize_with = "write_span")]
    pub ill: Span,
    /// How long nothing happens to any call.
    #[serde(serialize_with = "write_span")]
    pub well: Span,
}

/// How a provider's refusal says when to come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Hint {
    /// By `Retry-After`, in seconds, alone.
    RetryAfter,
    /// By `retry-after-ms` alone.
    RetryAfterMs,
    /// By the protocol's reset headers alone.
    Reset,
    /// Not at all; answers do not show what is left of the limits either.
    Nothing,
}

impl Flap {
    fn is_ill(&self, since: Duration) -> bool {
        let round = (*self.ill + *self.well).as_nanos();
        since.as_nanos() % round < self.ill.as_nanos()
    }
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            latency: Span::from_millis(0),
            per_token: Span::from_millis(0),
            slow_rate: 0.0,
            slow_by: Span::from_millis(0),
            error_rate: 0.0,
            error_status: 500,
            error_retry_after: None,
            error_code: None,
            hint: None,
            hang_rate: 0.0,
            hang_for: None,
            mute_rate: 0.0,
            disconnect_rate: 0.0,
            disconnect_after: 2,
            disconnect_error: false,
            times: None,
            flap: None,
        }
    }
}

impl Faults {
    /// Whether the numbers make sense.
    pub(crate) fn check(&self) -> Result<(), String> {
        let rates = [
            ("slow_rate", self.slow_rate),
            ("error_rate", self.error_rate),
            ("hang_rate", self.hang_rate),
            ("mute_rate", self.mute_rate),
            ("disconnect_rate", self.disconnect_rate),
        ];
        for (name, rate) in rates {
            if !(0.0..=1.0).contains(&rate) {
                return Err(format!("{name} is a share of the calls, from 0 to 1"));
            }
        }
        if !(400..=599).contains(&self.error_status) {
            return Err("error_status is an HTTP status from 400 to 599".into());
        }
        if self.flap.is_some_and(|flap| flap.ill.is_zero() || flap.well.is_zero()) {
            return Err("flap.ill and flap.well must each be longer than nothing".into());
        }
        Ok(())
    }
}

/// Lets so much time pass, and goes on at once where there is none: a timer takes a millisecond at the least.
pub(crate) async fn late(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn an_end_that_answers_at_once_waits_for_no_timer() {
        assert_eq!(late(Duration::ZERO).now_or_never(), Some(()));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert!(Faults { error_rate: 2.0, ..Faults::default() }.check().is_err());
        assert!(Faults { mute_rate: -0.1, ..Faults::default() }.check().is_err());
        let flap = Some(Flap { ill: Span::from_secs(1), well: Span::from_secs(0) });
        assert!(Faults { flap, ..Faults::default() }.check().is_err());
    }
}
