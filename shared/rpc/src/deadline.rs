//! Deadlines travel: the server's stack puts a call's deadline into the task, the client's stack sends what is left.

use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;

use crate::Error;

/// The header by which a deadline travels: what is left of it, as a number and a unit.
pub const HEADER: &str = "grpc-timeout";

tokio::task_local! {
    static DEADLINE: Option<Instant>;
}

/// Runs a future under a deadline that its calls inherit. For work that is spawned out of a call.
pub async fn scope<F: Future>(deadline: Option<Instant>, future: F) -> F::Output {
    DEADLINE.scope(deadline, future).await
}

/// The deadline of the call that this task serves.
pub fn current() -> Option<Instant> {
    DEADLINE.try_with(|deadline| *deadline).ok().flatten()
}

/// What is left of it; zero once it has passed, `None` without one.
pub fn remaining() -> Option<Duration> {
    current().map(|deadline| deadline.saturating_duration_since(Instant::now()))
}

/// Reads the header.
///
/// # Errors
/// INVALID_ARGUMENT where it is malformed: at most eight digits and a unit of H, M, S, m, u or n.
pub fn parse(headers: &HeaderMap) -> Result<Option<Duration>, Error> {
    let Some(value) = headers.get(HEADER) else { return Ok(None) };
    let malformed = || Error::invalid(HEADER, "must be at most eight digits and a unit of H, M, S, m, u or n");
    let text = value.to_str().map_err(|_| malformed())?;
    let (digits, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(malformed)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(malformed());
    }
    let number: u64 = digits.parse().map_err(|_| malformed())?;
    let span = match unit {
        "H" => Duration::from_secs(number * 3_600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return Err(malformed()),
    };
    Ok(Some(span))
}

/// Writes the header's value: in the finest unit that eight digits can say.
pub fn format(span: Duration) -> String {
    const MOST: u128 = 99_999_999;
    match span {
        span if span.as_micros() <= MOST => format!("{}u", span.as_micros()),
        span if span.as_millis() <= MOST => format!("{}m", span.as_millis()),
        span => format!("{}S", u128::from(span.as_secs()).min(MOST)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Duration>, Error> {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, text.parse().expect("a header value"));
        parse(&headers)
    }

    #[test]
    fn a_deadline_survives_the_wire() {
        for span in [Duration::from_micros(1), Duration::from_millis(1_500), Duration::from_secs(3_600 * 24 * 300)] {
            assert_eq!(read(&format(span)).expect("well-formed"), Some(span));
        }
    }

    #[test]
    fn a_malformed_deadline_is_refused() {
        for text in ["", "5", "S", "5x", "-1S", "123456789S", "1.5S"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
