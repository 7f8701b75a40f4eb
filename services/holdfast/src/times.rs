//! Times on the command line: a moment in RFC 3339, or a span from now.

use std::time::{Duration, SystemTime};

/// A time of the past: that long ago, or a moment.
pub(crate) fn past(text: &str) -> Result<SystemTime, String> {
    read(text, |now, span| now.checked_sub(span))
}

/// A time to come: in that long, or a moment.
pub(crate) fn coming(text: &str) -> Result<SystemTime, String> {
    read(text, |now, span| now.checked_add(span))
}

fn read(text: &str, from_now: impl Fn(SystemTime, Duration) -> Option<SystemTime>) -> Result<SystemTime, String> {
    if let Ok(span) = humantime::parse_duration(text) {
        return from_now(SystemTime::now(), span).ok_or_else(|| "is too far away".to_owned());
    }
    humantime::parse_rfc3339_weak(text)
        .map_err(|_| "is neither a span such as 90s, 5m or 2h, nor a time such as 2026-01-31T08:00:00Z".to_owned())
}

/// A label as NAME=VALUE.
pub(crate) fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("is not NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_counts_from_now_and_a_moment_stands_for_itself() {
        let hour = Duration::from_secs(3_600);
        let near = |time: SystemTime, expected: SystemTime| {
            time.duration_since(expected).unwrap_or_else(|error| error.duration()) < Duration::from_secs(60)
        };
        assert!(near(past("1h").unwrap(), SystemTime::now() - hour));
        assert!(near(coming("1h").unwrap(), SystemTime::now() + hour));
        let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(951_782_400);
        assert_eq!(past("2000-02-29T00:00:00Z").unwrap(), moment);
        assert_eq!(coming("2000-02-29 00:00:00").unwrap(), moment);
        assert!(past("yesterday").unwrap_err().contains("2026-01-31"));
    }

    #[test]
    fn a_label_has_a_name() {
        assert_eq!(label("team=risk=high"), Ok(("team".into(), "risk=high".into())));
        assert!(label("team").is_err() && label("=risk").is_err());
    }
}
