//! What of a request a model reads, found without building the tree: text, and what costs beside it.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::domain::{
    chat::{ANSWERS_MAX, Fields, answers_by},
    tokens::{Counter, Text},
};

/// A message's frame.
const MESSAGE: u64 = 4;
/// What every request has.
const REQUEST: u64 = 3;
/// The frame of a tool's call.
const TOOL_CALL: u64 = 8;
/// A picture: what the dearest of the common sizes costs.
const PICTURE: u64 = 1_600;
/// A picture of which little detail is asked for.
const SMALL_PICTURE: u64 = 100;
/// Sounds and files, which are base64: bytes of a token.
const BYTES_PER_TOKEN: u64 = 100;
/// Fields that are read as they are written, with their names and brackets.
const READ_WHOLE: [&str; 4] = ["tools", "functions", "response_format", "prediction"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prompt {
    pub(super) text: Text,
    /// Tokens beside the text.
    pub(super) beside: u64,
    /// Pictures, sounds or files are among it.
    pub(super) guessed: bool,
    /// How many answers are asked for.
    pub(super) answers: u64,
}

impl Prompt {
    pub(super) fn read(fields: &Fields, counter: Counter) -> Self {
        let mut reading = Reading { counter, beside: REQUEST, guessed: false, small: None };
        if let Some(messages) = fields.get("messages") {
            let mut json = serde_json::Deserializer::from_str(messages.get());
            if (Walk { reading: &mut reading, at: At::Messages }).deserialize(&mut json).is_err() {
                // Too deep to look into: whoever reads it has all of it.
                reading.counter.add(messages.get());
            }
        }
        READ_WHOLE.iter().filter_map(|name| fields.get(*name)).for_each(|field| reading.counter.add(field.get()));
        // What cannot be read may be as many as there can be.
        let answers = ["n", "best_of"].map(|name| answers_by(fields, name).unwrap_or(ANSWERS_MAX));
        let Reading { counter, beside, guessed, .. } = reading;
        Self { text: counter.text(), beside, guessed, answers: answers[0].max(answers[1]) }
    }
}

struct Reading {
    counter: Counter,
    beside: u64,
    guessed: bool,
    /// Of the picture that is being read, whether little detail is asked for, where it says.
    small: Option<bool>,
}

/// Where in the messages something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Messages,
    Message,
    Text,
    Picture,
    Detail,
    Data,
    /// What names the message and its parts: in the frame already.
    Frame,
}

struct Walk<'r> {
    reading: &'r mut Reading,
    at: At,
}

impl Walk<'_> {
    /// A picture costs what it does when all of it was read: so nothing that stands somewhere makes a request cheaper.
    fn picture<'de, A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<(), A::Error> {
        let around = self.reading.small.take();
        map.next_value_seed(Walk { reading: self.reading, at: At::Picture })?;
        let small = std::mem::replace(&mut self.reading.small, around);
        self.reading.beside += if small == Some(true) { SMALL_PICTURE } else { PICTURE };
        self.reading.guessed = true;
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        match self.at {
            At::Frame => IgnoredAny::deserialize(json).map(|_| ()),
            _ => json.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        match self.at {
            At::Messages | At::Message | At::Text => self.reading.counter.add(text),
            At::Data => self.reading.beside += text.len() as u64 / BYTES_PER_TOKEN,
            // Who says both pays for the dearer one.
            At::Detail => self.reading.small = Some(self.reading.small.unwrap_or(true) && text == "low"),
            At::Picture | At::Frame => {}
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let at = if self.at == At::Messages { At::Message } else { self.at };
        while list.next_element_seed(Walk { reading: self.reading, at })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        if self.at == At::Message {
            self.reading.beside += MESSAGE;
        }
        while let Some(Name(at)) = map.next_key::<Name>()? {
            let at = match at {
                // Inside of a picture nothing is text.
                At::Text if matches!(self.at, At::Picture | At::Data) => self.at,
                // Elsewhere it is a word like any other.
                At::Detail if self.at != At::Picture => At::Text,
                at => at,
            };
            match at {
                At::Picture if self.at != At::Picture => {
                    self.picture(&mut map)?;
                    continue;
                }
                At::Data => self.reading.guessed = true,
                At::Message => self.reading.beside += TOOL_CALL,
                _ => {}
            }
            let at = if at == At::Message { At::Text } else { at };
            map.next_value_seed(Walk { reading: self.reading, at })?;
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// A field of a message by what stands in it; a call of a tool is like a message of its own.
struct Name(At);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct ByName;
        impl Visitor<'_> for ByName {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field's name")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Name, E> {
                Ok(Name(match name {
                    "role" | "type" | "id" | "tool_call_id" => At::Frame,
                    "function" | "function_call" => At::Message,
                    "image_url" | "image" | "input_image" => At::Picture,
                    "detail" => At::Detail,
                    "input_audio" | "audio" | "file" | "video_url" => At::Data,
                    _ => At::Text,
                }))
            }
        }
        json.deserialize_str(ByName)
    }
}
