//! Providers that speak the OpenAI chat-completions protocol: what was asked passes byte for byte, and so do the answers.
//! Sources: <https://platform.openai.com/docs/api-reference/chat/create>,
//! <https://learn.microsoft.com/azure/ai-services/openai/reference>

mod answer;
mod calls;
mod request;
mod stream;

use bytes::Bytes;
use http::Uri;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName};
use url::Url;

use self::stream::Parts;
use super::{
    Failure,
    http::{Http, Protocol, Question, Settings, address, push, uri},
};
use crate::domain::{Answer, Form};

/// The first version of Azure's interface that knows `max_completion_tokens`.
const AZURE_COMPLETION_TOKENS: &str = "2024-09-01";

/// The protocol, as one provider has it.
#[derive(Debug)]
pub(crate) struct OpenAi {
    at: At,
    /// Whether it knows the newer name for the limit of tokens.
    completion_tokens: bool,
}

#[derive(Debug)]
enum At {
    /// One address for all models.
    One(Uri),
    /// Azure: one for each, after the resource's, with the version of the interface.
    Each { resource: Url, version: String },
}

impl OpenAi {
    /// OpenAI itself, and whatever is compatible with it.
    ///
    /// # Errors
    /// A sentence for the user: the settings cannot be used.
    pub(crate) fn open(settings: Settings) -> Result<Http<Self>, String> {
        let mut url = address(&settings)?;
        // Others than OpenAI know the older name only.
        let completion_tokens = url.host_str() == Some("api.openai.com");
        push(&mut url, &["chat", "completions"]);
        Http::new(Self { at: At::One(uri(&url)?), completion_tokens }, HeaderMap::new(), settings)
    }

    /// The same at Azure, where a model's name is that of its deployment.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) fn azure(version: &str, settings: Settings) -> Result<Http<Self>, String> {
        let completion_tokens = version >= AZURE_COMPLETION_TOKENS;
        let at = At::Each { resource: address(&settings)?, version: version.to_owned() };
        Http::new(Self { at, completion_tokens }, HeaderMap::new(), settings)
    }
}

impl Protocol for OpenAi {
    type Reader = Parts;

    fn uri(&self, model: &str) -> Result<Uri, String> {
        match &self.at {
            At::One(uri) => Ok(uri.clone()),
            At::Each { resource, version } => {
                let mut url = resource.clone();
                push(&mut url, &["openai", "deployments", model, "chat", "completions"]);
                url.query_pairs_mut().append_pair("api-version", version);
                uri(&url)
            }
        }
    }

    fn auth(&self) -> (HeaderName, &'static str) {
        match &self.at {
            At::One(_) => (AUTHORIZATION, "Bearer "),
            At::Each { .. } => (HeaderName::from_static("api-key"), ""),
        }
    }

    fn request(&self, question: Question<'_>) -> Result<Vec<u8>, Failure> {
        Ok(request::body(question, self.completion_tokens))
    }

    fn answer(&self, body: Bytes, form: Form) -> Result<Answer, Failure> {
        let answer = answer::read(&body)?;
        Ok(Answer { json: (form == Form::Json).then_some(body), ..answer })
    }

    fn reader(&self, form: Form) -> Parts {
        Parts::new(form)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(base: &str, model: &str) -> (String, String) {
        let settings = |base: &str| Settings {
            base_url: base.into(),
            authority: None,
            simulated: false,
            connect_timeout: std::time::Duration::ZERO,
            timeout: std::time::Duration::ZERO,
            idle_timeout: std::time::Duration::ZERO,
            answer_bytes_max: 0,
            trace: None,
        };
        let one = OpenAi::open(settings(base)).expect("an address");
        let each = OpenAi::azure("2024-10-21", settings(base)).expect("an address");
        let said = |uri: Result<Uri, String>| uri.expect("an address").to_string();
        (said(one.protocol().uri(model)), said(each.protocol().uri(model)))
    }

    #[test]
    fn a_model_is_asked_where_it_is() {
        let azure = "https://x.example/openai/deployments/my%2Fgpt%3F/chat/completions?api-version=2024-10-21";
        for base in ["https://x.example", "https://x.example/"] {
            assert_eq!(urls(base, "my/gpt?"), ("https://x.example/chat/completions".into(), azure.into()));
        }
        assert_eq!(urls("http://[::1]:8000/v1", "m").0, "http://[::1]:8000/v1/chat/completions");
    }
}
