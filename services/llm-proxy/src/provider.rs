//! The port to model providers: what they promise, and how they fail.

mod anthropic;
mod http;
mod object;
mod openai;
mod told;

use std::time::Duration;

use futures::{future::BoxFuture, stream::BoxStream};
use holdfast_config::Secret;

pub(crate) use self::{anthropic::Anthropic, http::Settings, openai::OpenAi};
use crate::{
    domain::{Answer, Ask, Chunk},
    gate::Arrival,
};

/// One call of one key.
#[derive(Debug, Clone)]
pub(crate) struct Call<'c> {
    pub(crate) ask: &'c Ask,
    /// The model as the provider calls it.
    pub(crate) model: &'c str,
    /// Most tokens to write, where anybody limits them.
    pub(crate) max_output_tokens: Option<u32>,
    pub(crate) key: Option<&'c Secret>,
    /// Says whether the request may still be written; hears when it was, and when the response began, unless that is when the
    /// whole answer is here.
    pub(crate) arrival: Arrival,
}

/// An answer as it comes.
pub(crate) type Chunks = BoxStream<'static, Result<Chunk, Failure>>;

/// A provider of models. Dropping what it gave cancels the call, at the provider too.
pub(crate) trait Provider: std::fmt::Debug + Send + Sync {
    /// The answer, whole.
    fn whole<'c>(&'c self, call: Call<'c>) -> BoxFuture<'c, Result<Answer, Failure>>;

    /// The answer event by event, once the provider has begun to answer.
    fn stream<'c>(&'c self, call: Call<'c>) -> BoxFuture<'c, Result<Chunks, Failure>>;
}

/// Why a provider did not answer, by what is to be done about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// The key's limit is reached: it rests as long as the provider says.
    #[error("the provider's limit is reached")]
    Limited { retry_after: Option<Duration> },
    /// The key is not taken.
    #[error("the provider does not take the key ({status}): {message}")]
    KeyDenied { status: u16, message: String },
    /// The key may not do this, or nobody may say this: which of them it is, another key shows.
    #[error("the provider forbids it (403): {message}")]
    Forbidden { message: String },
    /// The same where there is no other key that could show it.
    #[error("the provider forbids it (403): {message}")]
    Doubtful { message: String },
    /// The same with more than one key: it is no key's fault. Another deployment may have nothing against it.
    #[error("the provider forbids it (403): {message}")]
    ForbiddenToAll { message: String },
    /// The request is at fault, where known by which field; no other deployment would like it better.
    #[error("the provider refused the request: {message}")]
    Rejected { field: Option<String>, message: String },
    /// A field says what this provider's protocol has no word for: nothing was sent. Another deployment may have one.
    #[error("this provider has no word for {field}: {message}")]
    Untranslatable { field: String, message: String },
    /// The request is too long for this model: the provider is done with it. Another deployment may hold more.
    #[error("the provider finds the request too long: {message}")]
    ContextLength { message: String },
    /// The provider does not know the model.
    #[error("the provider does not know the model: {message}")]
    NoModel { message: String },
    /// The provider cannot be reached: nothing was sent.
    #[error("the provider cannot be reached")]
    Unreachable,
    /// Its place was gone before it could leave: nothing was sent.
    #[error("the call's place was gone before it could leave")]
    Withheld,
    /// The provider is not well, by its own words: it is done with the call.
    #[error("the provider answered {status}")]
    Unwell { status: u16, retry_after: Option<Duration> },
    /// The provider took too long, or broke off.
    #[error("the provider {how}")]
    Broken { how: &'static str },
}

impl Failure {
    /// The name in metrics and spans.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Limited { .. } => "limited",
            Self::KeyDenied { .. } => "key_denied",
            Self::Forbidden { .. } | Self::Doubtful { .. } | Self::ForbiddenToAll { .. } => "forbidden",
            Self::Rejected { .. } => "rejected",
            Self::Untranslatable { .. } => "untranslatable",
            Self::ContextLength { .. } => "context_length",
            Self::NoModel { .. } => "no_model",
            Self::Unreachable => "unreachable",
            Self::Withheld => "withheld",
            Self::Unwell { .. } => "unwell",
            Self::Broken { .. } => "broken",
        }
    }
}
