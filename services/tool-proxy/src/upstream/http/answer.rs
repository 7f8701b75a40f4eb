//! Reading what a tool answers: so much of it and no more, in its time, and of a type that is taken.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::Response;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use tokio::time::{Instant, timeout_at};

use crate::domain::{JSON, Miss};

/// A longer name of a type is none.
const CONTENT_TYPE_BYTES_MAX: usize = 255;

/// What is taken of an answer.
#[derive(Debug)]
pub(super) struct Limits {
    pub(super) bytes_max: usize,
    /// Between two pieces of the answer.
    pub(super) idle_timeout: Option<Duration>,
    /// Empty for any.
    pub(super) content_types: Vec<String>,
}

impl Limits {
    /// The type of an answer's content.
    pub(super) fn content_type(headers: &HeaderMap) -> String {
        let told = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        told.filter(|told| told.len() <= CONTENT_TYPE_BYTES_MAX).unwrap_or(JSON).to_owned()
    }

    /// Whether a type is among those that are taken.
    pub(super) fn takes(&self, content_type: &str) -> bool {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let fits = |taken: &String| match taken.strip_suffix("/*") {
            Some(family) => essence.split_once('/').is_some_and(|(found, _)| found.eq_ignore_ascii_case(family)),
            None => taken.eq_ignore_ascii_case(essence),
        };
        self.content_types.is_empty() || self.content_types.iter().any(fits)
    }

    /// The body, up to the limit. A longer one is not read to its end, whatever its head says, and a packed one, which
    /// nobody asked for, not at all.
    pub(super) async fn read(&self, mut response: Response, until: Instant) -> Result<Bytes, Miss> {
        let packed = response.headers().get(CONTENT_ENCODING).is_some_and(|value| value != "identity");
        if packed {
            return Err(Miss { reason: "CONTENT_ENCODING".into(), ..Miss::too_large() });
        }
        if response.content_length().is_some_and(|length| length > self.bytes_max as u64) {
            return Err(Miss::too_large());
        }
        let mut body = BytesMut::new();
        loop {
            let idle_until = self.idle_timeout.map(|idle| Instant::now() + idle);
            let piece_until = idle_until.map_or(until, |idle| idle.min(until));
            match timeout_at(piece_until, response.chunk()).await {
                Ok(Ok(Some(chunk))) if body.len() + chunk.len() > self.bytes_max => return Err(Miss::too_large()),
                Ok(Ok(Some(chunk))) => body.extend_from_slice(&chunk),
                Ok(Ok(None)) => return Ok(body.freeze()),
                Ok(Err(_)) => return Err(Miss::left("BROKEN")),
                Err(_) if piece_until < until => return Err(Miss::left("IDLE_TIMEOUT")),
                Err(_) => return Err(Miss::timeout()),
            }
        }
    }
}

/// Whether a text names a type, or a family of them: `application/json`, `text/*`.
pub(crate) fn is_content_type(text: &str) -> bool {
    let word = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte))
    };
    text.split_once('/').is_some_and(|(family, kind)| word(family) && (kind == "*" || word(kind)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_compared_without_their_parameters() {
        let limits = |types: &[&str]| {
            let content_types = types.iter().map(ToString::to_string).collect();
            Limits { bytes_max: 1, idle_timeout: None, content_types }
        };
        let json = limits(&["application/json", "text/*"]);
        for taken in ["application/json", "Application/JSON; charset=utf-8", "text/plain"] {
            assert!(json.takes(taken), "{taken}");
        }
        for refused in ["application/jsonp", "application/xml", "textual/plain", "text", ""] {
            assert!(!json.takes(refused), "{refused}");
        }
        assert!(limits(&[]).takes("anything"));
    }

    #[test]
    fn only_types_are_taken_for_some() {
        assert!(["application/json", "text/*", "application/vnd.api+json"].iter().all(|text| is_content_type(text)));
        assert!(["json", "*/*", "a/b;q=1", "a/", "/b", "a/b/c", "a b/c"].iter().all(|text| !is_content_type(text)));
    }
}
