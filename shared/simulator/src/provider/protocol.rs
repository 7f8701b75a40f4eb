//! The protocols that the provider speaks: the same model, limits and faults behind each.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::Value;

use super::{
    answer::{Beat, Completion},
    anthropic,
    conversation::Conversation,
    meter::Rate,
    openai,
    refusal::Refusal,
};

/// A protocol, by the path that a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// OpenAI's chat completions.
    OpenAi,
    /// The same as Azure serves it: another header for the key, and the model in the path.
    Azure,
    /// Anthropic's messages.
    Anthropic,
}

impl Protocol {
    /// The API key that a request shows.
    pub(crate) fn key(self, headers: &HeaderMap) -> Option<&str> {
        let text = |name: HeaderName| headers.get(name)?.to_str().ok();
        match self {
            Self::OpenAi => text(header::AUTHORIZATION)?.strip_prefix("Bearer "),
            Self::Azure => text(HeaderName::from_static("api-key")),
            Self::Anthropic => text(HeaderName::from_static("x-api-key")),
        }
    }

    /// Reads a request.
    pub(crate) fn conversation(self, headers: &HeaderMap, body: &[u8]) -> Result<Conversation, Refusal> {
        match self {
            Self::OpenAi | Self::Azure => openai::conversation(body),
            Self::Anthropic => anthropic::conversation(headers, body),
        }
    }

    /// A whole answer.
    pub(crate) fn whole(self, completion: &Completion) -> Value {
        match self {
            Self::OpenAi | Self::Azure => openai::whole(completion),
            Self::Anthropic => anthropic::whole(completion),
        }
    }

    /// Whether an event belongs into a stream of this protocol.
    pub(crate) fn has(self, beat: Beat, usage: bool) -> bool {
        match (self, beat) {
            (Self::OpenAi | Self::Azure, Beat::TextOpens | Beat::BlockEnds { .. }) => false,
            (Self::OpenAi | Self::Azure, Beat::Usage) => usage,
            (Self::Anthropic, Beat::Usage) => false,
            _ => true,
        }
    }

    /// Writes an event of a stream.
    pub(crate) fn event(self, completion: &Completion, beat: Beat, into: &mut String) {
        match self {
            Self::OpenAi | Self::Azure => openai::event(completion, beat, into),
            Self::Anthropic => anthropic::event(completion, beat, into),
        }
    }

    /// The event of a stream that says that it breaks off.
    pub(crate) fn event_of_failure(self) -> &'static str {
        match self {
            Self::OpenAi | Self::Azure => openai::FAILURE,
            Self::Anthropic => anthropic::FAILURE,
        }
    }

    /// The body of a refusal.
    pub(crate) fn error(self, refusal: &Refusal) -> Value {
        match self {
            Self::OpenAi | Self::Azure => openai::error(refusal),
            Self::Anthropic => anthropic::error(refusal),
        }
    }

    /// What is left of the limits.
    pub(crate) fn rate_headers(self, rates: &[Rate], headers: &mut HeaderMap) {
        for rate in rates {
            let written = match self {
                Self::OpenAi | Self::Azure => openai::rate(rate),
                Self::Anthropic => Some(anthropic::rate(rate)),
            };
            for (name, value) in written.into_iter().flatten() {
                let name = HeaderName::try_from(name).expect("letters and hyphens");
                headers.insert(name, HeaderValue::try_from(value).expect("letters and digits"));
            }
        }
    }
}
