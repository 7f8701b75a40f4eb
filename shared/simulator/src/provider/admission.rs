//! From a request's body to an answer: what can be answered is, within the limits.

use axum::{
    Json,
    body::{Body, to_bytes},
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use bytes::Bytes;

use super::{
    Provider,
    answer::{Answer, Completion},
    conversation::Conversation,
    place::Place,
    protocol::Protocol,
    refusal::Refusal,
    rules, writer,
};
use crate::faults::{End, Fate, Hint, late};

/// A call that is answered, if no fault comes between.
pub(super) struct Admitted {
    protocol: Protocol,
    place: Place,
    completion: Completion,
    streams: bool,
    /// Whether a stream ends with its usage.
    usage: bool,
}

impl Provider {
    /// Reads the body, and says what is answered. `model` is the one that the path names, if it does, and then the call's.
    pub(super) async fn admit(
        &self,
        protocol: Protocol,
        mut place: Place,
        headers: &HeaderMap,
        model: &mut String,
        body: Body,
    ) -> Result<Admitted, Refusal> {
        let judged = match to_bytes(body, self.request_bytes_max).await {
            Ok(body) => self.judge(protocol, &mut place, headers, model, body),
            Err(error) => Err(Refusal::Bad { code: "invalid_body", message: error.to_string() }),
        };
        match judged {
            Ok((conversation, completion)) => {
                let (streams, usage) = (conversation.stream, conversation.wants_usage());
                Ok(Admitted { protocol, place, completion, streams, usage })
            }
            Err(refusal) => {
                match refusal {
                    Refusal::Limited(_) => place.refused(),
                    _ => place.failed(),
                }
                Err(refusal)
            }
        }
    }

    fn judge(
        &self,
        protocol: Protocol,
        place: &mut Place,
        headers: &HeaderMap,
        model: &mut String,
        body: Bytes,
    ) -> Result<(Conversation, Completion), Refusal> {
        let mut conversation = protocol.conversation(headers, &body)?;
        if !model.is_empty() {
            conversation.model.clone_from(model);
        }
        model.clone_from(&conversation.model);
        if model.is_empty() {
            return Err(Refusal::Bad { code: "missing_model", message: "you must provide a model parameter".into() });
        }
        if !self.models.is_empty() && !self.models.contains(model) {
            return Err(Refusal::NoModel(model.clone()));
        }
        let (context, prompt) = (self.context_tokens, conversation.tokens());
        let output = conversation.max_tokens().unwrap_or_default();
        if prompt.saturating_add(output) > context {
            return Err(Refusal::TooLong { context, prompt, output });
        }
        place.read(model, &conversation.mark(), prompt, body).map_err(Refusal::Limited)?;
        let completion = Completion::new(&conversation, self.says(&conversation)?);
        Ok((conversation, completion))
    }

    /// What the model says: by its script, at the length that was asked for, or by the rules.
    fn says(&self, conversation: &Conversation) -> Result<Answer, Refusal> {
        if let Some(id) = conversation.script() {
            let step = conversation.step();
            let answer = self.scripts.read().get(&id).and_then(|script| script.answer(step));
            let message = || format!("there is no step {step} of a script {id:?}");
            return answer.ok_or_else(|| Refusal::Bad { code: "script_not_found", message: message() });
        }
        let length = conversation.output_tokens().map(Answer::of_length);
        Ok(length.unwrap_or_else(|| rules::answer(&self.rules.read(), conversation)))
    }
}

impl Admitted {
    /// What becomes of it.
    pub(super) async fn perform(self, fate: Fate, hint: Option<Hint>) -> Response {
        let Self { protocol, place, completion, streams, usage } = self;
        late(fate.latency).await;
        match fate.end {
            End::Hang | End::Mute => std::future::pending().await,
            End::Error { status, code, retry_after } => {
                place.failed();
                Refusal::Fault { status, code, retry_after }.answer(protocol, &[], hint)
            }
            end if streams => {
                let cut = match end {
                    End::Disconnect { after, says } => Some(writer::Cut { after, says }),
                    _ => None,
                };
                writer::stream(protocol, place, (completion, usage), fate.per_token, cut)
            }
            end => {
                let tokens = completion.completion_tokens;
                late(fate.per_token.saturating_mul(tokens.try_into().unwrap_or(u32::MAX))).await;
                place.write(tokens);
                let whole = protocol.whole(&completion);
                if let End::Disconnect { .. } = end {
                    return writer::half(place, &whole);
                }
                // Free before the last byte goes out: who has the answer may come again at once.
                place.answered();
                Json(whole).into_response()
            }
        }
    }
}
