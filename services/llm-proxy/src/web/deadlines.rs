//! How long a client waits, by its headers.

use std::time::Duration;

use axum::http::HeaderMap;
use holdfast_rpc::{Error, deadline};
use tokio::time::Instant;

/// Our own word for it: seconds until the whole answer must be there.
const TIMEOUT: &str = "holdfast-timeout";
/// What the official clients tell of their own timeouts, for each attempt anew: seconds until an answer, or a stream, must
/// have begun.
const STAINLESS: [&str; 2] = ["x-stainless-timeout", "x-stainless-read-timeout"];
/// Nobody waits longer.
const MOST: Duration = Duration::from_secs(24 * 3_600);

/// Until when a call is of use to its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Deadlines {
    /// An answer that is whole must be there, a stream must have begun.
    pub(super) begins: Option<Instant>,
    /// A stream must have ended.
    pub(super) ends: Option<Instant>,
}

impl Deadlines {
    /// # Errors
    /// INVALID_ARGUMENT where our own header makes no sense. What a client's library says by itself is taken or left.
    pub(super) fn read(headers: &HeaderMap) -> Result<Self, Error> {
        let seconds = |name: &str| -> Option<Duration> {
            let seconds = headers.get(name)?.to_str().ok()?.trim().parse().ok()?;
            Duration::try_from_secs_f64(seconds).ok().filter(|span| !span.is_zero()).map(|span| span.min(MOST))
        };
        let own = seconds(TIMEOUT);
        if own.is_none() && headers.contains_key(TIMEOUT) {
            return Err(Error::invalid(TIMEOUT, "must be seconds, such as 30 or 2.5, and more than none"));
        }
        let now = Instant::now();
        let ends = earliest(own.map(|span| now + span), deadline::current());
        let begins = STAINLESS.iter().filter_map(|name| seconds(name)).min();
        Ok(Self { begins: earliest(begins.map(|span| now + span), ends), ends })
    }
}

fn earliest(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}

/// A future's end, or the deadline's.
///
/// # Errors
/// The future's, or DEADLINE_EXCEEDED.
pub(super) async fn by<T>(at: Option<Instant>, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let Some(at) = at else { return call.await };
    tokio::time::timeout_at(at, deadline::scope(Some(at), call)).await.unwrap_or_else(|_| Err(Error::deadline()))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(pairs: &[(&'static str, &str)]) -> Result<[Option<u64>; 2], Error> {
        let headers = pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let now = Instant::now();
        let Deadlines { begins, ends } = Deadlines::read(&headers)?;
        Ok([begins, ends].map(|at| at.map(|at| (at - now).as_millis() as u64)))
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_library_says_is_about_the_beginning_and_our_own_header_about_the_whole() {
        assert_eq!(read(&[]).await.unwrap(), [None, None]);
        assert_eq!(read(&[("x-stainless-timeout", "30")]).await.unwrap(), [Some(30_000), None]);
        assert_eq!(read(&[("x-stainless-read-timeout", "2.5")]).await.unwrap(), [Some(2_500), None]);
        assert_eq!(read(&[("holdfast-timeout", "2.5")]).await.unwrap(), [Some(2_500), Some(2_500)]);
        let both = [("holdfast-timeout", "60"), ("x-stainless-timeout", "30")];
        assert_eq!(read(&both).await.unwrap(), [Some(30_000), Some(60_000)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_came_with_the_call_holds_too() {
        let inherited = Instant::now() + Duration::from_secs(5);
        let read = deadline::scope(Some(inherited), read(&[("holdfast-timeout", "60")])).await.unwrap();
        assert_eq!(read, [Some(5_000), Some(5_000)]);
    }

    #[tokio::test(start_paused = true)]
    async fn nonsense_is_refused_in_our_header_and_left_in_a_librarys() {
        for text in ["", "0", "-1", "soon", "NaN", "inf", "30s"] {
            assert_eq!(read(&[("holdfast-timeout", text)]).await.expect_err(text).field(), Some("holdfast-timeout"));
            assert_eq!(read(&[("x-stainless-timeout", text)]).await.expect(text), [None, None]);
        }
        let day = MOST.as_millis() as u64;
        assert_eq!(read(&[("holdfast-timeout", "1e300")]).await.ok(), None, "more than a time can be");
        assert_eq!(read(&[("holdfast-timeout", "1e9")]).await.unwrap(), [Some(day), Some(day)]);
    }
}
