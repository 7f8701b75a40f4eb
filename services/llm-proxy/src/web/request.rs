//! The body of a request: what must be known of it is taken out, everything else stays as its text was.

use holdfast_rpc::Error;
use serde::de::DeserializeOwned;
use tonic::Code;

use crate::domain::{Ask, Fields, Form};

/// A conversation to go on with, and how its client wants to hear the answer.
#[derive(Debug)]
pub(super) struct Requested {
    pub(super) ask: Ask,
    pub(super) stream: Option<Stream>,
}

/// An answer as it comes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Stream {
    /// It ends with an event that tells the tokens.
    pub(super) with_usage: bool,
}

const OPTIONS_MUST: &str = "must be an object such as {\"include_usage\": true}";

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
    let options: Option<Fields> = take(&mut fields, "stream_options", OPTIONS_MUST)?;
    if options.is_some() && !streamed {
        return Err(Error::invalid("stream_options", "is for streams: it needs stream to be true"));
    }
    let mut stream_options = options.unwrap_or_default();
    let with_usage = take(&mut stream_options, "include_usage", OPTIONS_MUST);
    let with_usage = with_usage.map_err(|_| Error::invalid("stream_options", OPTIONS_MUST))?.unwrap_or(false);
    let (limited_by, max_output_tokens) = max_output_tokens(&mut fields)?;
    let form = Form::Json;
    let bytes = body.len();
    let ask = Ask { model, fields, max_output_tokens, limited_by, stream_options, priority, form, bytes };
    Ok(Requested { ask, stream: streamed.then_some(Stream { with_usage }) })
}

fn check_messages(fields: &Fields) -> Result<(), Error> {
    let said = fields.get("messages").ok_or_else(|| Error::invalid("messages", "is missing"))?;
    match said.get().strip_prefix('[').map(str::trim_start) {
        None => Err(Error::invalid("messages", "must be a list")),
        Some("]") => Err(Error::invalid("messages", "is empty")),
        Some(_) => Ok(()),
    }
}

/// The limit, and the name by which it was said. The older one is still that which most clients know.
fn max_output_tokens(fields: &mut Fields) -> Result<(&'static str, Option<u32>), Error> {
    const MUST: &str = "must be a whole number from 1 on";
    let older: Option<u32> = take(fields, "max_tokens", MUST)?;
    let newer: Option<u32> = take(fields, "max_completion_tokens", MUST)?;
    let (name, limit) = match (older, newer) {
        (Some(_), Some(_)) => {
            return Err(Error::invalid("max_tokens", "cannot be said together with max_completion_tokens"));
        }
        (older, None) => ("max_tokens", older),
        (None, newer) => ("max_completion_tokens", newer),
    };
    if limit == Some(0) { Err(Error::invalid(name, MUST)) } else { Ok((name, limit)) }
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
        let asked = of(&format!(r#"{{"model":"m","messages":[1],{options}}}"#)).expect("a conversation").ask;
        let rest: Vec<_> = asked.stream_options.iter().map(|(name, value)| (name.as_str(), value.get())).collect();
        assert_eq!(rest, [("include_obfuscation", "false")], "it is the provider's affair");
        assert_eq!(stream(r#""stream":true,"stream_options":null"#), Some(Stream { with_usage: false }));
    }

    #[test]
    fn the_limit_of_tokens_goes_by_either_name_and_not_by_both() {
        let limit = |more: &str| {
            let ask = of(&format!(r#"{{"model":"m","messages":[1],{more}}}"#)).map(|of| of.ask)?;
            Ok::<_, Error>((ask.limited_by, ask.max_output_tokens))
        };
        assert_eq!(limit(r#""max_tokens":7"#).unwrap(), ("max_tokens", Some(7)));
        let newer = limit(r#""max_completion_tokens":7,"max_tokens":null"#).unwrap();
        assert_eq!(newer, ("max_completion_tokens", Some(7)));
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
            (
                r#"{"model":"m","messages":[1],"stream":true,"stream_options":{"include_usage":1}}"#,
                Some("stream_options"),
            ),
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
