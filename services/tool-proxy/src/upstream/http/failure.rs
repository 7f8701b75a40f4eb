//! Why there is no answer, from what the HTTP client says.

use std::error::Error;
use std::io;
use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::domain::Miss;
use crate::egress::Refusal;

/// What the client's error means, before the head of an answer. Its text is never shown: it holds the URL.
pub(super) fn of(error: &reqwest::Error, may_have_left: bool) -> Miss {
    let connecting = |reason: &str| Miss { reason: reason.into(), ..Miss::unconnected() };
    if error.is_builder() {
        return Miss::kept("REQUEST");
    }
    if !error.is_connect() {
        return Miss { left: may_have_left, ..Miss::left("BROKEN").of_the_host() };
    }
    if error.is_timeout() {
        connecting("CONNECT_TIMEOUT")
    } else if has::<rustls::Error>(error) {
        connecting("TLS")
    } else {
        Miss::unconnected()
    }
}

/// It may not be reached, or leads where it may not: the next time as well. The words why are in the log.
pub(super) fn refused(refusal: &Refusal) -> Miss {
    if refusal.is_redirected() {
        Miss { passing: false, ..Miss::left("REDIRECT_REFUSED") }
    } else {
        Miss::kept("ADDRESS_REFUSED")
    }
}

/// The head of the answer did not come in the tool's own time for it.
pub(super) fn silent(may_have_left: bool) -> Miss {
    if may_have_left { Miss::silence() } else { Miss { reason: "CONNECT_TIMEOUT".into(), ..Miss::unconnected() } }
}

/// The whole time is over.
pub(super) fn late(may_have_left: bool) -> Miss {
    Miss { left: may_have_left, ..Miss::timeout() }
}

/// Whether an error is among the causes, also where it travels within an `io::Error`, which passes it over.
fn has<E: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    let within = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.is::<E>() || within.is_some_and(|inner| has::<E>(inner)) || error.source().is_some_and(has::<E>)
}

/// How long the tool wants to be left alone: in seconds, or until a date.
/// Source: <https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3>
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => Some(httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_may_say_when_to_come_back_in_seconds_or_by_a_date() {
        let now = httpdate::parse_http_date("Fri, 31 Dec 1999 23:59:00 GMT").expect("a date");
        let told = |text: &str| retry_after(&HeaderMap::from_iter([(RETRY_AFTER, text.parse().expect("plain"))]), now);
        assert_eq!(told("120"), Some(Duration::from_secs(120)));
        assert_eq!(told(" 0 "), Some(Duration::ZERO));
        assert_eq!(told("Fri, 31 Dec 1999 23:59:59 GMT"), Some(Duration::from_secs(59)));
        assert_eq!(told("Fri, 31 Dec 1999 23:58:00 GMT"), Some(Duration::ZERO), "it is past");
        for text in ["", "-1", "soon", "1.5", "99999999999999999999999"] {
            assert_eq!(told(text), None, "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn a_cause_is_found_within_an_io_error() {
        let error = io::Error::other(io::Error::other(rustls::Error::DecryptError));
        assert!(has::<rustls::Error>(&error));
        assert!(!has::<rustls::Error>(&io::Error::other("plain")));
    }
}
