//! A request, from the fields of chat completions. What has no word here is refused by its name; what asks for nothing, or
//! changes no answer, is left out (the README says which); what nobody knows passes untouched.

mod content;
mod fields;
mod messages;
mod output;
mod raw;
mod tools;

use serde_json::{json, value::RawValue};

use self::{
    fields::Known,
    raw::{Text, Wordless, parse, text},
};
use super::super::{Failure, http::Question, object::Object};

/// The most tokens to write, where nobody says: there must be a limit.
const MAX_TOKENS: u32 = 4_096;
/// What a request has beside its fields: room for it.
const ROOM: usize = 512;

/// The body of a request.
///
/// # Errors
/// There is no word for what a field says.
pub(super) fn body(question: Question<'_>) -> Result<Vec<u8>, Failure> {
    let fields = Known(&question.ask.fields);
    let conversation = messages::read(fields.get("messages").unwrap_or(RawValue::NULL))?;
    let mut object = Object::new(question.ask.bytes + ROOM);
    object.say("model", question.model);
    object.say("max_tokens", &question.max_output_tokens.unwrap_or(MAX_TOKENS));
    if !conversation.system.is_empty() {
        fields.only("system")?;
        object.say("system", &conversation.system);
    }
    object.say("messages", &conversation.turns);
    if let Some(offered) = fields.get("tools") {
        object.say("tools", &tools::offered(offered)?);
    }
    if let Some(choice) = tools::choice(fields)? {
        object.say("tool_choice", &choice);
    }
    if let Some(stop) = fields.get("stop") {
        fields.only("stop_sequences")?;
        object.say("stop_sequences", &stop_sequences(stop)?);
    }
    if let Some(user) = fields.user()? {
        object.say("metadata", &json!({ "user_id": user }));
    }
    let output = output::read(fields)?;
    if !output.config.is_empty() {
        object.say("output_config", &output.config);
    }
    if output.thinks_not && fields.get("thinking").is_none() {
        object.say("thinking", &json!({ "type": "disabled" }));
    }
    for (name, value) in &question.ask.fields {
        if fields::passes(name, value)? {
            object.say(name, value);
        }
    }
    if question.streamed {
        object.say("stream", &true);
    }
    Ok(object.end())
}

/// One text that ends the answer, or several.
fn stop_sequences(stop: &RawValue) -> Result<Vec<Text<'_>>, Wordless> {
    let one = text(stop).map(|stop| vec![Text(stop)]);
    one.or_else(|| parse(stop)).ok_or_else(|| Wordless::new("stop", "is neither a text nor a list of texts"))
}

#[cfg(test)]
mod tests;
