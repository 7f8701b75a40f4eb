//! Anthropic's messages: what is asked in the words of chat completions is said in theirs, and nothing is left out unsaid.
//! Sources: <https://platform.claude.com/docs/en/api/messages>,
//! <https://platform.claude.com/docs/en/build-with-claude/structured-outputs>

mod answer;
mod request;
mod stream;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use self::stream::Parts;
use super::{
    Failure,
    http::{Http, Protocol, Question, Settings, address, push, uri},
};
use crate::domain::{Answer, Form};

/// The version of the protocol that this is written for.
const VERSION: &str = "2023-06-01";

/// The protocol.
#[derive(Debug)]
pub(crate) struct Anthropic {
    uri: Uri,
}

impl Anthropic {
    /// A provider; its address goes up to and including `/v1`.
    ///
    /// # Errors
    /// A sentence for the user: the settings cannot be used.
    pub(crate) fn open(version: Option<&str>, settings: Settings) -> Result<Http<Self>, String> {
        let mut url = address(&settings)?;
        push(&mut url, &["messages"]);
        let version = HeaderValue::try_from(version.unwrap_or(VERSION));
        let version = version.map_err(|_| "has a version that a header cannot carry".to_owned())?;
        let headers = HeaderMap::from_iter([(HeaderName::from_static("anthropic-version"), version)]);
        Http::new(Self { uri: uri(&url)? }, headers, settings)
    }
}

impl Protocol for Anthropic {
    type Reader = Parts;

    fn uri(&self, _: &str) -> Result<Uri, String> {
        Ok(self.uri.clone())
    }

    fn auth(&self) -> (HeaderName, &'static str) {
        (HeaderName::from_static("x-api-key"), "")
    }

    fn request(&self, question: Question<'_>) -> Result<Vec<u8>, Failure> {
        request::body(question)
    }

    fn answer(&self, body: Bytes, _: Form) -> Result<Answer, Failure> {
        answer::read(&body)
    }

    fn reader(&self, _: Form) -> Parts {
        Parts::default()
    }
}
