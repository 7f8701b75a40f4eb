use serde_json::{Value, json, value::RawValue};

use super::raw::{Members, Wordless, parse, text};
use crate::domain::Fields;

/// What is said elsewhere in a request, in Anthropic's words.
const TRANSLATED: [&str; 11] = [
    "messages",
    "metadata",
    "output_config",
    "parallel_tool_calls",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "stop",
    "tool_choice",
    "tools",
    "user",
];
/// What changes no answer, but how it comes about, or what is kept of it at the provider.
const HARMLESS: [&str; 5] = ["prediction", "prompt_cache_key", "prompt_cache_retention", "seed", "store"];

/// The fields of a request. One that is null is as good as absent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a>(pub(super) &'a Fields);

impl<'a> Known<'a> {
    pub(super) fn get(self, name: &str) -> Option<&'a RawValue> {
        self.0.get(name).map(|value| &**value).filter(|value| value.get() != "null")
    }

    /// What was said in the words of chat completions must not be said in Anthropic's own too.
    pub(super) fn only(self, own: &str) -> Result<(), Wordless> {
        let twice = || Wordless::new(own, "says again what another field says");
        self.get(own).map_or(Ok(()), |_| Err(twice()))
    }

    /// For whom it is asked: of metadata, Anthropic knows this alone. The rest is labels for what OpenAI keeps.
    pub(super) fn user(self) -> Result<Option<String>, Wordless> {
        let metadata = self.get("metadata").map(|metadata| {
            parse::<Members<'_>>(metadata).ok_or_else(|| Wordless::new("metadata", "is not an object"))
        });
        let own = metadata.transpose()?.and_then(|mut metadata| metadata.remove("user_id"));
        let user = own.or_else(|| self.get("safety_identifier")).or_else(|| self.get("user"));
        user.map(|user| text(user).map(Into::into).ok_or_else(|| Wordless::new("user", "is not a text"))).transpose()
    }
}

/// Whether a field goes on as it is.
pub(super) fn passes(name: &str, value: &RawValue) -> Result<bool, Wordless> {
    if TRANSLATED.contains(&name) || HARMLESS.contains(&name) {
        return Ok(false);
    }
    let Some(asks_nothing) = asks_nothing(name) else { return Ok(true) };
    let value: Value = parse(value).unwrap_or_default();
    match value.is_null() || asks_nothing(&value) {
        true => Ok(false),
        // Anthropic has words of its own for this one.
        false if name == "service_tier" && value == "standard_only" => Ok(true),
        false => Err(Wordless::new(name, "Anthropic's protocol has nothing for it")),
    }
}

/// For a field of chat completions without a word here: what it says where it asks for nothing.
fn asks_nothing(name: &str) -> Option<fn(&Value) -> bool> {
    Some(match name {
        "n" => |value| value == 1,
        "presence_penalty" | "frequency_penalty" | "top_logprobs" => |value| value.as_f64() == Some(0.0),
        "logprobs" => |value| value == false,
        "logit_bias" => |value| value.as_object().is_some_and(serde_json::Map::is_empty),
        "modalities" => |value| *value == json!(["text"]),
        "verbosity" => |value| value == "medium",
        "service_tier" => |value| value == "auto" || value == "default",
        "audio" | "function_call" | "functions" | "web_search_options" => |_| false,
        _ => return None,
    })
}
