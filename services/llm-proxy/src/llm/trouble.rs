//! Why deployments were passed by on a call's way, and what its caller is told where none is left.

use std::time::Duration;

use holdfast_rpc::Error;
use tonic::Code;

use crate::{
    domain::{Refusal, Why},
    metrics,
    provider::Failure,
};

/// When to come back to a provider that failed without saying when.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a deployment was passed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Its circuit is open, or it asked to be left alone.
    Open,
    /// It failed, or cannot be reached.
    Outage,
    /// It takes none of its keys.
    NoKey,
    /// Its limits leave a place later than the model's `fallback_after`.
    Slow,
    /// Its limits leave no place before the deadline.
    Late,
    /// The line before it is as long as it may be.
    Full,
    /// Its context does not hold the conversation.
    Context,
    /// Its protocol has no word for something in the request.
    Protocol,
    /// Its provider does not know the model.
    NoModel,
    /// Its provider forbids it, with the only key that there is or with more than one.
    Forbidden,
}

/// A deployment that was passed by.
#[derive(Debug, Clone)]
pub(crate) struct Passed {
    reason: Reason,
    /// When to come back to it.
    retry_after: Duration,
    /// When the call would start there.
    starts_in: Duration,
    /// The field of the request that it stumbles over.
    field: Option<String>,
    why: String,
}

/// All of them, each once, by their places in the model's list and in the order in which they were come by.
#[derive(Debug)]
pub(crate) struct Trouble<'m> {
    model: &'m str,
    passed: Vec<(usize, Passed)>,
}

impl Reason {
    /// The name in metrics and spans.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Outage => "outage",
            Self::NoKey => "no_key",
            Self::Slow => "slow",
            Self::Late => "late",
            Self::Full => "full",
            Self::Context => "context",
            Self::Protocol => "protocol",
            Self::NoModel => "no_model",
            Self::Forbidden => "forbidden",
        }
    }
}

impl Passed {
    fn new(reason: Reason, retry_after: Duration, why: impl Into<String>) -> Self {
        Self { reason, retry_after, starts_in: retry_after, field: None, why: why.into() }
    }

    /// Its circuit is open, or it asked to be left alone.
    pub(crate) fn open(deployment: &str, retry_after: Duration) -> Self {
        Self::new(Reason::Open, retry_after, format!("{deployment} is left alone after failures"))
    }

    /// Its context is known to be too small.
    pub(crate) fn too_small(deployment: &str, context_tokens: u64) -> Self {
        let why = format!("the conversation is longer than the {context_tokens} tokens that {deployment} holds");
        Self::new(Reason::Context, Duration::ZERO, why)
    }

    /// The gate did not let the call in.
    pub(crate) fn refused(provider: &str, refusal: Refusal) -> Self {
        let Refusal { why, retry_after, starts_in } = refusal;
        let (reason, why) = match why {
            Why::NoKey => (Reason::NoKey, format!("{provider} takes none of its keys")),
            Why::Full => (Reason::Full, "the line for this model is as long as it may be".into()),
            Why::Late => (Reason::Late, "the model's limits leave no place before the call's deadline".into()),
            Why::Slow => (Reason::Slow, "the model's limits leave no place soon".into()),
        };
        Self { starts_in, ..Self::new(reason, retry_after, why) }
    }

    /// It was called in vain.
    pub(crate) fn failed(deployment: &str, failure: &Failure) -> Self {
        let why = format!("{deployment}: {failure}");
        match failure {
            Failure::NoModel { .. } => Self::new(Reason::NoModel, Duration::ZERO, why),
            Failure::ContextLength { .. } => Self::new(Reason::Context, Duration::ZERO, why),
            Failure::Doubtful { .. } | Failure::ForbiddenToAll { .. } => {
                Self::new(Reason::Forbidden, Duration::ZERO, why)
            }
            Failure::Untranslatable { field, .. } => {
                Self { field: Some(field.clone()), ..Self::new(Reason::Protocol, Duration::ZERO, why) }
            }
            Failure::Unwell { retry_after: Some(retry_after), .. } => Self::new(Reason::Outage, *retry_after, why),
            _ => Self::new(Reason::Outage, RETRY_AFTER, why),
        }
    }
}

impl<'m> Trouble<'m> {
    pub(crate) fn new(model: &'m str) -> Self {
        Self { model, passed: Vec::new() }
    }

    /// A deployment is passed by; what was said of it before counts no more.
    pub(crate) fn pass(&mut self, deployment: usize, passed: Passed) {
        self.forget(deployment);
        self.passed.push((deployment, passed));
    }

    /// A deployment is not passed by after all.
    pub(crate) fn forget(&mut self, deployment: usize) {
        self.passed.retain(|(before, _)| *before != deployment);
    }

    /// Those that are only slow, the one that would start first before the others.
    pub(crate) fn slow(&self) -> Vec<usize> {
        let slow = self.passed.iter().filter(|(_, passed)| passed.reason == Reason::Slow);
        let mut slow: Vec<_> = slow.map(|(at, passed)| (passed.starts_in, *at)).collect();
        // Among equals the preferred one: the sort is stable.
        slow.sort_by_key(|(starts_in, _)| *starts_in);
        slow.into_iter().map(|(_, at)| at).collect()
    }

    /// The deployments that were passed by, each with the reason.
    pub(crate) fn reasons(&self) -> impl Iterator<Item = (usize, Reason)> {
        self.passed.iter().map(|(at, passed)| (*at, passed.reason))
    }

    /// What the caller is told: to come back later where that can help, when exactly, and else what is wrong.
    pub(crate) fn told(&self) -> Error {
        let soonest = |of: &[Reason]| {
            let found = self.passed.iter().map(|(_, passed)| passed).filter(|passed| of.contains(&passed.reason));
            found.min_by_key(|passed| passed.retry_after)
        };
        let first = |of: &[Reason]| self.passed.iter().map(|(_, passed)| passed).find(|it| of.contains(&it.reason));
        let (limits, gone) =
            ([Reason::Slow, Reason::Late, Reason::Full], [Reason::Open, Reason::Outage, Reason::NoKey]);
        if let Some(away) = soonest(&gone) {
            metrics::refused(self.model, "gone");
            let back = soonest(&limits).map_or(away.retry_after, |limit| limit.retry_after.min(away.retry_after));
            return Error::unavailable(format!("no deployment of the model answered: {}", away.why), back);
        }
        if let Some(limit) = soonest(&limits) {
            metrics::refused(self.model, limit.reason.name());
            return Error::exhausted(limit.why.clone(), limit.retry_after);
        }
        if let Some(long) = first(&[Reason::Context]) {
            return Error::new(Code::InvalidArgument, "CONTEXT_LENGTH", long.why.as_str());
        }
        if let Some(request) = first(&[Reason::Protocol]) {
            return Error::invalid(request.field.as_deref().unwrap_or("request"), request.why.as_str());
        }
        if let Some(forbidden) = first(&[Reason::Forbidden]) {
            return Error::invalid("request", forbidden.why.as_str());
        }
        let why = first(&[Reason::NoModel]).map_or("the model has no deployment", |passed| &passed.why);
        Error::precondition("NO_UPSTREAM_MODEL", why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(why: Why, seconds: u64) -> Passed {
        let time = Duration::from_secs(seconds);
        Passed::refused("p", Refusal { why, retry_after: time, starts_in: time })
    }

    fn told(passed: impl IntoIterator<Item = Passed>) -> (Code, Option<u64>) {
        let mut trouble = Trouble::new("m");
        passed.into_iter().enumerate().for_each(|(at, passed)| trouble.pass(at, passed));
        let error = trouble.told();
        (error.code(), error.retry_after().map(|time| time.as_secs()))
    }

    #[test]
    fn limits_alone_are_told_with_the_earliest_time_to_come_back() {
        let limits = [refused(Why::Late, 30), refused(Why::Full, 7), refused(Why::Slow, 9)];
        assert_eq!(told(limits), (Code::ResourceExhausted, Some(7)));
    }

    #[test]
    fn a_deployment_that_is_gone_makes_the_model_unavailable() {
        assert_eq!(
            told([refused(Why::Late, 30), Passed::open("p/m", Duration::from_secs(4))]),
            (Code::Unavailable, Some(4))
        );
        assert_eq!(told([refused(Why::Late, 3), refused(Why::NoKey, 600)]), (Code::Unavailable, Some(3)));
        let unwell = Failure::Unwell { status: 503, retry_after: Some(Duration::from_secs(20)) };
        assert_eq!(told([Passed::failed("p/m", &unwell)]), (Code::Unavailable, Some(20)));
    }

    #[test]
    fn a_conversation_that_fits_nowhere_is_the_callers_affair() {
        assert_eq!(told([Passed::too_small("p/m", 100)]), (Code::InvalidArgument, None));
        assert_eq!(told([Passed::too_small("p/m", 100), refused(Why::Late, 5)]), (Code::ResourceExhausted, Some(5)));
        let unknown = Failure::NoModel { message: "what?".into() };
        assert_eq!(told([Passed::failed("p/m", &unknown)]), (Code::FailedPrecondition, None));
    }

    #[test]
    fn what_a_provider_forbids_is_the_callers_affair_where_nobody_else_may_still_answer() {
        let forbidden = || Passed::failed("p/m", &Failure::Doubtful { message: "not this".into() });
        assert_eq!(told([forbidden()]), (Code::InvalidArgument, None));
        assert_eq!(told([forbidden(), refused(Why::Late, 5)]), (Code::ResourceExhausted, Some(5)));
    }

    #[test]
    fn the_slow_are_waited_at_in_the_order_of_their_starts_and_what_is_known_last_counts() {
        let mut trouble = Trouble::new("m");
        for (at, seconds) in [(0, 9), (1, 3), (2, 9)] {
            trouble.pass(at, refused(Why::Slow, seconds));
        }
        assert_eq!(trouble.slow(), [1, 0, 2]);
        trouble.pass(1, refused(Why::Late, 3));
        assert_eq!(trouble.slow(), [0, 2]);
    }
}
