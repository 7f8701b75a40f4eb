use serde::Serialize;

use super::super::{http::Question, object::Object};
use crate::domain::Fields;

/// What a request has beside its fields: room for it.
const ROOM: usize = 256;

#[derive(Serialize)]
struct StreamOptions<'a> {
    #[serde(flatten)]
    asked: &'a Fields,
    /// Usage is always told: limits are kept by it.
    include_usage: bool,
}

/// The body of a request: the conversation's own fields untouched, and what is said here.
pub(super) fn body(question: Question<'_>, completion_tokens: bool) -> Vec<u8> {
    let mut object = Object::new(question.ask.bytes + ROOM);
    object.say("model", question.model);
    for (name, text) in &question.ask.fields {
        object.say(name, text);
    }
    if let Some(most) = question.max_output_tokens {
        object.say(if completion_tokens { "max_completion_tokens" } else { "max_tokens" }, &most);
    }
    if question.streamed {
        object.say("stream", &true);
        object.say("stream_options", &StreamOptions { asked: &question.ask.stream_options, include_usage: true });
    }
    object.end()
}

#[cfg(test)]
mod tests;
