//! Answers, whole and by event: the same shape, but for the name of what was said. Everything is optional: compatible
//! providers leave out and put null what they like.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;

use super::super::{Failure, http::judge_said, told};
use crate::domain::{Answer, Finish, ToolCall, Usage};

#[derive(Deserialize)]
pub(super) struct Completion<'a> {
    #[serde(default, borrow)]
    pub(super) id: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    pub(super) choices: Option<Vec<Choice<'a>>>,
    #[serde(default)]
    usage: Option<Counts>,
    /// Where Groq puts the usage of a stream that was not asked for it.
    #[serde(default)]
    x_groq: Option<Groq>,
    #[serde(default, borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Choice<'a> {
    #[serde(default)]
    index: Option<u32>,
    #[serde(default, borrow)]
    message: Option<Said<'a>>,
    #[serde(default, borrow)]
    delta: Option<Said<'a>>,
    #[serde(default, borrow)]
    pub(super) finish_reason: Option<Cow<'a, str>>,
}

#[derive(Default, Deserialize)]
pub(super) struct Said<'a> {
    #[serde(default, deserialize_with = "text")]
    content: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
    #[serde(default, borrow)]
    pub(super) tool_calls: Option<Vec<Called<'a>>>,
}

#[derive(Deserialize)]
pub(super) struct Called<'a> {
    #[serde(default)]
    pub(super) index: Option<u32>,
    #[serde(default)]
    pub(super) id: Option<String>,
    #[serde(default, borrow)]
    function: Option<Function<'a>>,
}

#[derive(Default, Deserialize)]
struct Function<'a> {
    #[serde(default)]
    name: Option<String>,
    #[serde(default, borrow)]
    arguments: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Counts {
    #[serde(default)]
    prompt_tokens: Option<f64>,
    #[serde(default)]
    completion_tokens: Option<f64>,
    #[serde(default)]
    total_tokens: Option<f64>,
}

#[derive(Deserialize)]
struct Groq {
    #[serde(default)]
    usage: Option<Counts>,
}

/// What is broken: it is no answer of this protocol.
pub(super) const NO_ANSWER: Failure = Failure::Broken { how: "sent an answer that is not one" };

/// A whole answer.
pub(super) fn read(body: &[u8]) -> Result<Answer, Failure> {
    let mut completion = Completion::read(body).map_err(|failure| failure.unwrap_or(NO_ANSWER))?;
    told::response_id(completion.id.as_deref());
    let usage = completion.usage();
    let choice = completion.first().ok_or_else(|| judge_said(body).unwrap_or(NO_ANSWER))?;
    let finish = choice.finish()?.unwrap_or_default();
    let mut said = choice.said();
    let tool_calls = said.tool_calls.take().unwrap_or_default().into_iter().map(|mut call| {
        let (name, arguments) = call.take();
        ToolCall { id: call.id.unwrap_or_default(), name, arguments }
    });
    Ok(Answer { tool_calls: tool_calls.collect(), text: said.text().unwrap_or_default(), finish, usage, json: None })
}

impl<'a> Completion<'a> {
    /// # Errors
    /// What it says went wrong; nothing where it is no JSON of this shape.
    pub(super) fn read(text: &'a [u8]) -> Result<Self, Option<Failure>> {
        match serde_json::from_slice::<Self>(text) {
            Ok(completion) if completion.error.is_none() => Ok(completion),
            _ => Err(judge_said(text)),
        }
    }

    /// Whether it has any word of the protocol.
    pub(super) fn is_one(&self) -> bool {
        self.choices.is_some() || self.usage.is_some()
    }

    /// The first of the answers, where several were asked for.
    pub(super) fn first(&mut self) -> Option<Choice<'a>> {
        let choices = self.choices.as_mut()?;
        let first = choices.iter().position(|choice| choice.index() == 0)?;
        Some(choices.swap_remove(first))
    }

    /// The usage, where it was counted.
    pub(super) fn usage(&mut self) -> Option<Usage> {
        let counts = self.usage.take().or_else(|| self.x_groq.take()?.usage)?;
        let (read, written) = (counts.prompt_tokens.unwrap_or_default(), counts.completion_tokens.unwrap_or_default());
        // Some leave out of what was written what the model thought.
        let written = written.max(counts.total_tokens.unwrap_or_default() - read.max(0.0));
        let usage = Usage { input_tokens: read as u64, output_tokens: written as u64 };
        usage.believed()
    }
}

impl<'a> Choice<'a> {
    pub(super) fn index(&self) -> u32 {
        self.index.unwrap_or_default()
    }

    pub(super) fn said(self) -> Said<'a> {
        self.delta.or(self.message).unwrap_or_default()
    }

    /// # Errors
    /// It ended by an error, and does not say by which.
    pub(super) fn finish(&self) -> Result<Option<Finish>, Failure> {
        Ok(match self.finish_reason.as_deref() {
            None | Some("") => None,
            Some("stop") => Some(Finish::Stop),
            Some("tool_calls" | "function_call") => Some(Finish::ToolCalls),
            Some("length") => Some(Finish::Length),
            Some("content_filter") => Some(Finish::ContentFilter),
            Some("error") => return Err(Failure::Unwell { status: 500, retry_after: None }),
            Some(_) => Some(Finish::Other),
        })
    }
}

impl Said<'_> {
    pub(super) fn text(self) -> Option<String> {
        self.content.filter(|text| !text.is_empty()).or(self.refusal).filter(|text| !text.is_empty())
    }
}

impl Called<'_> {
    /// The tool's name and its arguments. Some providers write the arguments out as an object.
    pub(super) fn take(&mut self) -> (String, String) {
        let Function { name, arguments } = self.function.take().unwrap_or_default();
        let arguments = arguments.map(|json| match serde_json::from_str(json.get()) {
            Ok(text) => text,
            Err(_) => json.get().to_owned(),
        });
        (name.unwrap_or_default(), arguments.unwrap_or_default())
    }
}

/// What was said, as text or in parts, of which some are no text (what the model thought).
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    struct Part {
        #[serde(default)]
        text: Option<String>,
    }
    struct Either;
    impl<'de> de::Visitor<'de> for Either {
        type Value = Option<String>;

        fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str("a text, its parts, or null")
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
            Ok(Some(text.to_owned()))
        }
        fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
            Ok(Some(text))
        }
        fn visit_seq<A: de::SeqAccess<'de>>(self, mut parts: A) -> Result<Self::Value, A::Error> {
            let mut text = String::new();
            while let Some(part) = parts.next_element::<Part>()? {
                text.push_str(&part.text.unwrap_or_default());
            }
            Ok(Some(text))
        }
    }
    deserializer.deserialize_any(Either)
}

#[cfg(test)]
mod tests;
