//! How a call goes on when the other side is full or gone: the one place of the SDK that retries.

use std::{future::Future, sync::Arc, time::Duration};

use holdfast_resilience::{Backoff, RetryBudget};
use holdfast_rpc::{client::Unanswered, deadline};
use tokio::time::Instant;
use tonic::Status;

use crate::{Error, held::Held};

/// Waits between attempts where the other side does not say when to come back.
const BACKOFF: Backoff = Backoff::doubling(Duration::from_millis(50), Duration::from_secs(2));

/// A hint is met with up to this share of itself more, so that those who were refused together do not return together.
const HINT_JITTER: f64 = 0.2;

/// The longest hint that a stream waits for which comes back by itself.
pub(crate) const HINT_MAX: Duration = Duration::from_secs(30);

/// An attempt that was held for so long was served: another after it is no load on a failing mesh. (A wait for an
/// invocation's end goes on over any number of gateways that are replaced.)
const SERVED: Duration = Duration::from_secs(10);

/// Retries in a row that a client has before it has earned any: a command that makes one call may retry too.
const FIRST_SAVINGS: u32 = 10;

/// Calls that may be asked again when their connection broke: one that breaks takes all of its calls along at once.
const BROKEN_AT_ONCE: u32 = 256;

/// Longer than any process lives.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3_600);

/// Who calls, and therefore how long it goes on.
#[derive(Debug, Clone)]
pub(crate) enum Caller {
    /// A client: retries are on a budget, so that a failing mesh gets little more than the calls made. Only what is full and
    /// says when there will be room is waited for without: it is not failing.
    Client(Arc<Budgets>),
    /// The holder of a lease: pauses as long as the lease may live. One call of each handler waits, no more.
    Holder(Arc<Held>),
}

/// What a client's retries are paid from.
#[derive(Debug)]
pub(crate) struct Budgets {
    /// Attempts that were answered, badly or too late.
    failing: RetryBudget,
    /// Attempts whose connection broke.
    broken: RetryBudget,
}

impl Budgets {
    fn new() -> Self {
        let budgets = Self { failing: RetryBudget::default(), broken: RetryBudget::new(10, BROKEN_AT_ONCE) };
        // A tenth of a retry is earned by each call.
        (0..FIRST_SAVINGS * 10).for_each(|_| budgets.failing.deposit());
        (0..BROKEN_AT_ONCE * 10).for_each(|_| budgets.broken.deposit());
        budgets
    }

    fn deposit(&self) {
        self.failing.deposit();
        self.broken.deposit();
    }

    /// What was never sent has asked nobody, so another attempt costs nothing.
    fn allow(&self, unanswered: Option<Unanswered>) -> bool {
        match unanswered {
            Some(Unanswered::NeverSent) => true,
            Some(Unanswered::Broken) => self.broken.withdraw(),
            None => self.failing.withdraw(),
        }
    }
}

/// When to come back, of those who were told the same.
pub(crate) fn spread(hint: Duration) -> Duration {
    hint.mul_f64(1.0 + HINT_JITTER * rand::random::<f64>())
}

/// A failed attempt.
struct Failed {
    error: Error,
    unanswered: Option<Unanswered>,
}

/// The limits of one call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// One attempt is given up after this long, and the call goes on with the next.
    pub(crate) attempt: Duration,
    /// The whole call is given up after this long; the deadline that is in force may end it earlier.
    pub(crate) whole: Duration,
    /// The other side may be away for this long.
    pub(crate) patience: Duration,
}

impl Caller {
    pub(crate) fn client() -> Self {
        Self::Client(Arc::new(Budgets::new()))
    }

    /// Calls until it succeeds, until it cannot, or until the limits. `attempt` must be safe to repeat.
    pub(crate) async fn call<T, F, A>(&self, limits: Limits, attempt: A) -> Result<T, Error>
    where
        A: FnMut() -> F,
        F: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        self.go_on(limits, |_| true, attempt).await
    }

    /// The same for what is not safe to repeat: it goes on after attempts that surely did nothing.
    pub(crate) async fn call_at_most_once<T, F, A>(&self, limits: Limits, attempt: A) -> Result<T, Error>
    where
        A: FnMut() -> F,
        F: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        self.go_on(limits, |error| !error.may_have_happened(), attempt).await
    }

    async fn go_on<T, F, A>(&self, limits: Limits, is_safe: fn(&Error) -> bool, mut attempt: A) -> Result<T, Error>
    where
        A: FnMut() -> F,
        F: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        let end = end_of(limits.whole);
        if let Self::Client(budgets) = self {
            budgets.deposit();
        }
        let mut failed = 0;
        let mut away = None;
        let mut earlier = Earlier::default();
        loop {
            self.ready(end).await?;
            let begun = Instant::now();
            let Failed { error, unanswered } = match within(limits.attempt, end, attempt()).await {
                Ok(response) => return Ok(response.into_inner()),
                Err(failed) => failed,
            };
            failed += 1;
            earlier.add(&error);
            if let (Self::Holder(held), Error::LeaseGone { reason }) = (self, &error) {
                held.lose(reason);
            }
            let served = begun.elapsed() >= SERVED;
            let patient_until = later(*away.get_or_insert_with(Instant::now), limits.patience);
            let wait = match is_safe(&error).then(|| self.wait_after(&error, unanswered, failed, served)).flatten() {
                Some(wait) if later(Instant::now(), wait) < end.min(patient_until) => wait,
                _ => return Err(earlier.with(error)),
            };
            tracing::debug!(%error, wait_ms = wait.as_millis() as u64, "calling again");
            tokio::time::sleep(wait).await;
        }
    }

    /// One attempt and no more: whoever asks has a pace of its own.
    pub(crate) async fn once<T>(
        &self,
        limits: Limits,
        attempt: impl Future<Output = Result<tonic::Response<T>, Status>>,
    ) -> Result<T, Error> {
        let end = end_of(limits.whole);
        self.ready(end).await?;
        let answer = within(limits.attempt, end, attempt).await.map_err(|failed| failed.error)?;
        Ok(answer.into_inner())
    }

    /// Returns once a new attempt may start.
    pub(crate) async fn ready(&self, end: Instant) -> Result<(), Error> {
        match self {
            Self::Client(_) => Ok(()),
            Self::Holder(held) => tokio::time::timeout_at(end, held.counts())
                .await
                .unwrap_or_else(|_| Err(late(false, "waited for the lease to be renewed"))),
        }
    }

    /// How long to wait before the next attempt; `None` where there is to be none.
    fn wait_after(&self, error: &Error, unanswered: Option<Unanswered>, failed: u32, served: bool) -> Option<Duration> {
        let again = matches!(error, Error::Busy { .. } | Error::Unavailable { .. } | Error::Deadline { .. });
        let hint = error.retry_after().map(spread);
        let pause = BACKOFF.delay(failed, &mut rand::rng());
        match (self, hint) {
            _ if !again => None,
            (_, Some(hint)) if matches!(error, Error::Busy { .. }) => Some(hint),
            (Self::Client(budgets), hint) => {
                // What fails again and again is asked ever more rarely, so that the budget lasts.
                (served || budgets.allow(unanswered)).then(|| hint.unwrap_or_default().max(pause))
            }
            // Where a call may have got through and broken something, later tries come later.
            (Self::Holder(_), Some(hint)) if error.may_have_happened() => Some(hint.max(pause)),
            (Self::Holder(_), hint) => Some(hint.unwrap_or(pause)),
        }
    }
}

/// What earlier attempts of a call came to.
#[derive(Debug, Default)]
struct Earlier {
    may_have_happened: bool,
    invocation_id: Option<String>,
}

impl Earlier {
    fn add(&mut self, error: &Error) {
        self.may_have_happened |= error.may_have_happened();
        if let Some(id) = error.invocation_id() {
            self.invocation_id = Some(id.to_owned());
        }
    }

    /// The last attempt's error tells of the whole call: whether any attempt may have taken effect, and what goes on.
    fn with(self, mut last: Error) -> Error {
        if let Error::Busy { may_have_happened, .. }
        | Error::Unavailable { may_have_happened, .. }
        | Error::Deadline { may_have_happened, .. } = &mut last
        {
            *may_have_happened |= self.may_have_happened;
        }
        if let Error::Unavailable { invocation_id, .. } | Error::Deadline { invocation_id, .. } = &mut last {
            *invocation_id = self.invocation_id;
        }
        last
    }
}

fn late(may_have_happened: bool, message: &str) -> Error {
    Error::Deadline { may_have_happened, invocation_id: None, message: message.into() }
}

/// The end of a call that starts now: its own limit, or the deadline in force.
pub(crate) fn end_of(whole: Duration) -> Instant {
    let left = deadline::remaining().map_or(whole, |left| left.min(whole));
    later(Instant::now(), left)
}

/// That long after a moment. A span that no clock can count to is meant as no limit, and ends far away.
pub(crate) fn later(moment: Instant, span: Duration) -> Instant {
    moment.checked_add(span).unwrap_or_else(|| moment + FAR)
}

/// One attempt, with a deadline of its own that travels with it.
async fn within<T, F>(limit: Duration, end: Instant, attempt: F) -> Result<tonic::Response<T>, Failed>
where
    F: Future<Output = Result<tonic::Response<T>, Status>>,
{
    let at = end.min(later(Instant::now(), limit));
    match tokio::time::timeout_at(at, deadline::scope(Some(at), attempt)).await {
        Ok(answer) => {
            answer.map_err(|status| Failed { unanswered: Unanswered::of(&status), error: Error::from(status) })
        }
        Err(_) => Err(Failed { error: late(true, "no answer in time"), unanswered: None }),
    }
}
