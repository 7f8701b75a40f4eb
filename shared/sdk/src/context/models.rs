//! Models, called through the llm-proxy.

use std::time::Duration;

use holdfast_proto::llm::v1::{
    GenerateRequest, GenerateResponse, StreamGenerateRequest, StreamGenerateResponse,
    llm_service_client::LlmServiceClient, stream_generate_response::Part,
};
use tonic::Streaming;

use crate::{
    Context, Error,
    calls::{Caller, Limits},
};

/// How long a model call may take where the invocation has no deadline, its waits for a place included.
const CALL_MAX: Duration = Duration::from_secs(3_600);

/// Largest answer taken from the llm-proxy.
const ANSWER_BYTES_MAX: usize = 64 << 20;

impl Context {
    /// Asks a model. A proxy that is full or away is waited for, up to the deadline in force; tokens are counted for
    /// the invocation.
    ///
    /// # Errors
    /// [`Error::NotFound`] (no such model), [`Error::Invalid`] (the provider refused the request), [`Error::Busy`] and
    /// [`Error::Unavailable`] where the wait would outlast the deadline, and those of every call.
    pub async fn generate(&self, request: GenerateRequest) -> Result<GenerateResponse, Error> {
        let client = self.models();
        let answer = self
            .0
            .caller
            .call(LIMITS, || {
                let (request, mut client) = (request.clone(), client.clone());
                async move { client.generate(request).await }
            })
            .await?;
        self.count(answer.usage.unwrap_or_default().into());
        Ok(answer)
    }

    /// Asks a model for its answer as it comes. The waits are those of [`Context::generate`]; once the answer has
    /// begun, a break in it is an error of the stream.
    ///
    /// # Errors
    /// As [`Context::generate`].
    pub async fn stream_generate(&self, request: GenerateRequest) -> Result<ModelStream, Error> {
        let client = self.models();
        let parts = self
            .0
            .caller
            .call(LIMITS, || {
                let request = StreamGenerateRequest { request: Some(request.clone()) };
                let mut client = client.clone();
                async move { client.stream_generate(request).await }
            })
            .await?;
        Ok(ModelStream { parts, context: self.clone() })
    }

    fn models(&self) -> LlmServiceClient<crate::endpoints::Link> {
        LlmServiceClient::new(self.0.links.models.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }
}

const LIMITS: Limits = Limits { attempt: CALL_MAX, whole: CALL_MAX, patience: CALL_MAX };

/// A model's answer as it comes.
#[derive(Debug)]
pub struct ModelStream {
    parts: Streaming<StreamGenerateResponse>,
    context: Context,
}

impl ModelStream {
    /// The next part; the last one is the whole answer. `None` after it.
    ///
    /// # Errors
    /// The answer broke off.
    pub async fn next(&mut self) -> Result<Option<Part>, Error> {
        let part = self.parts.message().await.map_err(|status| self.broke(status))?;
        let part = part.and_then(|message| message.part);
        if let Some(Part::End(whole)) = &part {
            self.context.count(whole.usage.unwrap_or_default().into());
        }
        Ok(part)
    }

    fn broke(&self, status: tonic::Status) -> Error {
        let error = Error::from(status);
        if let (Caller::Holder(held), Error::LeaseGone { reason }) = (&self.context.0.caller, &error) {
            held.lose(reason);
        }
        error
    }
}
