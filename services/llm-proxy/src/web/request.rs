//! The body of a request: what must be known of it is taken out, everything else stays as its text was.

use holdfast_rpc::Error;
use serde::{Deserialize, de::DeserializeOwned};
use tonic::Code;

use crate::domain::{Ask, Fields, Form};

/// A conversation to go on with, and how its client wants to hear the answer.
#[derive(Debug)]
pub(super) struct Requested {
    pub(super) ask: Ask,
    pub(super) stream: Option<Stream>,
}

/// An answer as it comes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Stream {
    /// It ends with an event that tells the tokens.
    #[serde(rename = "include_usage")]
    pub(super) with_usage: bool,
}

/// Reads a body.
///
/// # Errors
/// INVALID_ARGUMENT, by the field.
pub(super) fn read(body: &[u8], priority: i32) -> Result<Requested, Error> {
    let mut fields: Fields = serde_json::from_slice(body).map_err(|error| {
        Error::new(Code::InvalidArgument, "INVALID", format!("the body is not a JSON object: {error}"))
    })?;
    let model: String = take(&mut fields, "model", "must be the name of a model")?
        .filter(|model: &String| !model.is_empty())
        .ok_or_else(|| Error::invalid("model", "is missing"))?;
    check_messages(&fields)?;
    let streamed = take(&mut fields, "stream", "must be true or false")?.unwrap_or(false);
    let options = take(&mut fields, "stream_options", "must be an object such as {\"include_usage\": true}")?;
    if options.is_some() && !streamed {
        return Err(Error::invalid("stream_options", "is for streams: it needs stream to be true"));
    }
    let max_output_tokens = max_output_tokens(&mut fields)?;
    let ask = Ask { model, fields, max_output_tokens, priority, form: Form::Json, bytes: body.len() };
    Ok(Requested { ask, stream: streamed.then(|| options.unwrap_or_default()) })
}

fn check_messages(fields: &Fields) -> Result<(), Error> {
    let said = fields.get("messages").ok_or_else(|| Error::invalid("messages", "is missing"))?;
    match said.get().strip_prefix('[').map(str::trim_start) {
        None => Err(Error::invalid("messages", "must be a list")),
        Some("]") => Err(Error::invalid("messages", "is empty")),
        Some(_) => Ok(()),
    }
}

/// The older name is still the one that most clients know.
fn max_output_tokens(fields: &mut Fields) -> Result<Option<u32>, Error> {
    const MUST: &str = "must be a whole number from 1 on";
    let older: Option<u32> = take(fields, "max_tokens", MUST)?;
    let newer: Option<u32> = take(fields, "max_completion_tokens", MUST)?;
    if older.is_some() && newer.is_some() {
        return Err(Error::invalid("max_tokens", "cannot be said together with max_completion_tokens"));
    }
    for (name, limit) in [("max_tokens", older), ("max_completion_tokens", newer)] {
        if limit == Some(0) {
            return Err(Error::invalid(name, MUST));
        }
    }
    Ok(newer.or(older))
}

/// Takes a field out; null is as if it were not there.
fn take<T: DeserializeOwned>(fields: &mut Fields, name: &str, must: &str) -> Result<Option<T>, Error> {
    let Some(text) = fields.remove(name) else { return Ok(None) };
    serde_json::from_str(text.get()).map_err(|_| Error::invalid(name, must))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(body: &str) -> Result<Requested, Error> {
        read(body.as_bytes(), 0)
    }

    #[test]
    fn what_nobody_here_knows_stays_as_its_text_was() {
        let body = r#"{"model":"m","messages":[{"role":"user","content":[{"type":"image_url"}]}],
            "temperature":0.70,"seed":12345678901234567890123,"x_new":{"b" : 1, "a":[ ]},"stream":null}"#;
        let Requested { ask, stream } = of(body).expect("a conversation");
        let text = |name: &str| ask.fields[name].get();
        assert_eq!((text("temperature"), text("seed")), ("0.70", "12345678901234567890123"));
        assert_eq!(text("x_new"), r#"{"b" : 1, "a":[ ]}"#);
        assert_eq!(ask.fields.len(), 4, "with the messages: {:?}", ask.fields);
        assert_eq!((ask.model.as_str(), stream, ask.bytes), ("m", None, body.len()));
    }

    #[test]
    fn a_stream_is_one_with_or_without_its_usage() {
        let stream =
            |more: &str| of(&format!(r#"{{"model":"m","messages":[1],{more}}}"#)).expect("a conversation").stream;
        assert_eq!(stream(r#""stream":false"#), None);
        assert_eq!(stream(r#""stream":true"#), Some(Stream { with_usage: false }));
        let options = r#""stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false}"#;
        assert_eq!(stream(options), Some(Stream { with_usage: true }));
        assert_eq!(stream(r#""stream":true,"stream_options":null"#), Some(Stream { with_usage: false }));
    }

    #[test]
    fn the_limit_of_tokens_goes_by_either_name_and_not_by_both() {
        let limit =
            |more: &str| of(&format!(r#"{{"model":"m","messages":[1],{more}}}"#)).map(|of| of.ask.max_output_tokens);
        assert_eq!(limit(r#""max_tokens":7"#).unwrap(), Some(7));
        assert_eq!(limit(r#""max_completion_tokens":7,"max_tokens":null"#).unwrap(), Some(7));
        assert!(limit(r#""max_completion_tokens":7,"max_tokens":7"#).is_err());
    }

    #[test]
    fn what_is_ill_said_is_named() {
        for (body, field) in [
            (r#"{"messages":[1]}"#, Some("model")),
            (r#"{"model":"","messages":[1]}"#, Some("model")),
            (r#"{"model":7,"messages":[1]}"#, Some("model")),
            (r#"{"model":"m"}"#, Some("messages")),
            (r#"{"model":"m","messages":[ ]}"#, Some("messages")),
            (r#"{"model":"m","messages":{}}"#, Some("messages")),
            (r#"{"model":"m","messages":[1],"stream":"yes"}"#, Some("stream")),
            (r#"{"model":"m","messages":[1],"stream_options":{}}"#, Some("stream_options")),
            (r#"{"model":"m","messages":[1],"stream":true,"stream_options":true}"#, Some("stream_options")),
            (r#"{"model":"m","messages":[1],"max_tokens":0}"#, Some("max_tokens")),
            (r#"{"model":"m","messages":[1],"max_completion_tokens":-1}"#, Some("max_completion_tokens")),
            ("[1]", None),
            ("{", None),
            ("", None),
        ] {
            let error = of(body).expect_err(body);
            assert_eq!((error.code(), error.field()), (Code::InvalidArgument, field), "{body}");
        }
    }
}
