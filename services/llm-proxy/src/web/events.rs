//! An answer as server-sent events. It is asked for one at a time: a client that does not read holds one.

use std::{borrow::Cow, convert::Infallible};

use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use holdfast_rpc::{Error, web::openai};
use serde::{Deserialize, de::IgnoredAny};
use tokio::time::{Instant, timeout_at};

use super::{deadlines::Deadlines, request, wire::Author};
use crate::{
    domain::{Chunk, Finish, Part},
    llm::{Piece, Pieces, Reply},
};

/// An answer on its way.
struct Events {
    pieces: Pieces,
    author: Author,
    with_usage: bool,
    ends: Option<Instant>,
    written: Written,
}

/// What was written in our own words, where the provider has none of this protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    Nothing,
    Opened,
    Finished,
}

/// The events of an answer. One that breaks off ends with an error, and without the mark of the end.
pub(super) fn of(
    pieces: Pieces,
    author: Author,
    asked: request::Stream,
    deadlines: Deadlines,
) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
    let events =
        Events { pieces, author, with_usage: asked.with_usage, ends: deadlines.ends, written: Written::Nothing };
    stream::unfold(Some(events), |events| async move {
        let mut events = events?;
        loop {
            let (bytes, over) = events.next().await;
            if over || !bytes.is_empty() {
                return Some((Ok(bytes.into()), (!over).then_some(events)));
            }
        }
    })
}

impl Events {
    /// What is next, and whether it is the last.
    async fn next(&mut self) -> (Vec<u8>, bool) {
        let piece = match self.ends {
            None => self.pieces.next().await,
            Some(at) => timeout_at(at, self.pieces.next()).await.unwrap_or_else(|_| Some(Err(Error::deadline()))),
        };
        match piece {
            Some(Ok(Piece::Chunk(chunk))) => (self.chunk(&chunk), false),
            Some(Ok(Piece::End(reply))) => (self.end(&reply), true),
            Some(Err(error)) => (event(openai::body(&error).to_string().as_bytes()), true),
            None => {
                (event(openai::body(&Error::internal("an answer ended without an end")).to_string().as_bytes()), true)
            }
        }
    }

    fn chunk(&mut self, chunk: &Chunk) -> Vec<u8> {
        if let Some(json) = &chunk.json {
            // The provider is always asked for its count; who did not ask for it does not expect an event without a choice.
            let counts_alone = matches!(chunk.parts[..], [Part::Usage(_)]) && has_no_choice(json);
            return if counts_alone && !self.with_usage { Vec::new() } else { event(&on_one_line(json)) };
        }
        let mut bytes = Vec::new();
        for part in &chunk.parts {
            if let Some(said) = self.author.part(part) {
                self.open(&mut bytes);
                bytes.extend(event(&said));
            } else if let Part::Finish(reason) = part {
                self.finish(*reason, &mut bytes);
            }
        }
        bytes
    }

    fn open(&mut self, bytes: &mut Vec<u8>) {
        if self.written == Written::Nothing {
            self.written = Written::Opened;
            bytes.extend(event(&self.author.opening()));
        }
    }

    fn finish(&mut self, reason: Finish, bytes: &mut Vec<u8>) {
        self.open(bytes);
        if self.written == Written::Opened {
            self.written = Written::Finished;
            bytes.extend(event(&self.author.finish(reason)));
        }
    }

    fn end(&mut self, reply: &Reply) -> Vec<u8> {
        let mut bytes = Vec::new();
        if self.written != Written::Nothing {
            self.finish(reply.answer.finish, &mut bytes);
            if let Some(usage) = reply.answer.usage.filter(|_| self.with_usage) {
                bytes.extend(event(&self.author.usage(usage)));
            }
        }
        bytes.extend(event(b"[DONE]"));
        bytes
    }
}

/// Whether an event has nothing beside its counts. Some providers count with every event, also with those that say what is
/// no part of ours.
fn has_no_choice(json: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Bare {
        choices: Option<Vec<IgnoredAny>>,
    }
    serde_json::from_slice(json).is_ok_and(|Bare { choices }| choices.is_none_or(|choices| choices.is_empty()))
}

/// In JSON the end of a line is white space, and between server-sent events it is not.
fn on_one_line(json: &[u8]) -> Cow<'_, [u8]> {
    let ends = |byte: &u8| matches!(byte, b'\r' | b'\n');
    if !json.iter().any(ends) {
        return json.into();
    }
    json.iter().map(|byte| if ends(byte) { b' ' } else { *byte }).collect()
}

fn event(data: &[u8]) -> Vec<u8> {
    [b"data: ", data, b"\n\n"].concat()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::{
        domain::{Answer, Usage},
        llm::Timing,
    };

    const COUNTED: Usage = Usage { input_tokens: 3, output_tokens: 4 };

    fn own(parts: &[Part]) -> Result<Piece, Error> {
        Ok(Piece::Chunk(Chunk { parts: parts.to_vec(), json: None }))
    }

    fn passed(json: &'static str, parts: &[Part]) -> Result<Piece, Error> {
        Ok(Piece::Chunk(Chunk { parts: parts.to_vec(), json: Some(Bytes::from_static(json.as_bytes())) }))
    }

    fn end() -> Result<Piece, Error> {
        let answer = Answer { finish: Finish::Stop, usage: Some(COUNTED), ..Answer::default() };
        let reply = Reply { answer, deployment: String::new(), timing: Timing::default(), degraded: false };
        Ok(Piece::End(Box::new(reply)))
    }

    async fn written(pieces: Vec<Result<Piece, Error>>, with_usage: bool) -> Vec<Value> {
        let deadlines = Deadlines { begins: None, ends: None };
        let pieces = stream::iter(pieces).boxed();
        let all = of(pieces, Author::new("m".into()), request::Stream { with_usage }, deadlines);
        let bytes: Vec<u8> = all.map(|bytes| bytes.expect("it cannot fail").to_vec()).concat().await;
        let text = String::from_utf8(bytes).expect("text");
        assert!(!text.contains('\r'), "it would end a line: {text:?}");
        let data = |event: &str| event.strip_prefix("data: ").expect("data").to_owned();
        let events = text.split_terminator("\n\n").map(data);
        events.map(|data| serde_json::from_str(&data).unwrap_or(Value::String(data))).collect()
    }

    #[tokio::test]
    async fn what_comes_in_the_protocol_passes_as_it_came() {
        let pieces = || {
            let said = passed(r#"{"x": 1.0, "choices":[{}]}"#, &[Part::Text("a".into())]);
            let last = passed(r#"{"choices":[{}],"usage":{}}"#, &[Part::Finish(Finish::Stop), Part::Usage(COUNTED)]);
            vec![said, last, passed(r#"{"choices":[]}"#, &[Part::Usage(COUNTED)]), end()]
        };
        let (said, last) = (json!({"x": 1.0, "choices": [{}]}), json!({"choices": [{}], "usage": {}}));
        assert_eq!(written(pieces(), false).await, [said.clone(), last.clone(), json!("[DONE]")]);
        assert_eq!(written(pieces(), true).await, [said, last, json!({"choices": []}), json!("[DONE]")]);
    }

    #[tokio::test]
    async fn what_is_said_beside_a_count_or_over_several_lines_is_not_lost() {
        let thought = r#"{"choices":[{"index":0,"delta":{"reasoning_content":"hm"}}],"usage":{}}"#;
        let lines = "{\"choices\":\r[{\"delta\":\n{\"content\":\"a\\r\"}}]\r\n}";
        let pieces = vec![passed(thought, &[Part::Usage(COUNTED)]), passed(lines, &[Part::Text("a".into())]), end()];
        let said = json!({"choices": [{"delta": {"content": "a\r"}}]});
        let thought: Value = serde_json::from_str(thought).expect("JSON");
        assert_eq!(written(pieces, false).await, [thought, said, json!("[DONE]")]);
        for bare in [r#"{"usage":{}}"#, r#"{"choices":null,"usage":{}}"#] {
            let pieces = vec![passed(bare, &[Part::Usage(COUNTED)]), end()];
            assert_eq!(written(pieces, false).await, [json!("[DONE]")], "{bare}");
        }
    }

    #[tokio::test]
    async fn what_comes_in_another_protocol_is_written_in_this_one() {
        let parts = [Part::Text("a".into()), Part::Finish(Finish::Length), Part::Usage(COUNTED)];
        let written = written(vec![own(&parts[..1]), own(&parts[1..]), end()], true).await;
        let deltas = written.iter().map(|event| &event["choices"][0]["delta"]).collect::<Vec<_>>();
        assert_eq!(deltas[..3], [&json!({"role": "assistant", "content": ""}), &json!({"content": "a"}), &json!({})]);
        assert_eq!(written[2]["choices"][0]["finish_reason"], "length");
        assert_eq!((&written[3]["choices"], &written[3]["usage"]["total_tokens"]), (&json!([]), &json!(7)));
        assert_eq!((written.len(), &written[4]), (5, &json!("[DONE]")));
    }

    #[tokio::test]
    async fn an_answer_that_never_says_why_it_ends_still_ends() {
        let written = written(vec![own(&[Part::Text("a".into())]), end()], false).await;
        assert_eq!(written[2]["choices"][0]["finish_reason"], "stop");
        assert_eq!((written.len(), &written[3]), (4, &json!("[DONE]")));
    }

    #[tokio::test]
    async fn one_that_breaks_off_ends_with_an_error_and_is_not_done() {
        let broken = Err(Error::unavailable("the text ends here", Duration::from_secs(1)));
        let written = written(vec![own(&[Part::Text("a".into())]), broken], false).await;
        let error =
            json!({"message": "the text ends here", "type": "server_error", "param": null, "code": "unavailable"});
        assert_eq!(written.last(), Some(&json!({"error": error})));
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_ends_a_stream_that_goes_on() {
        let pieces = stream::iter([own(&[Part::Text("a".into())])]).chain(stream::pending()).boxed();
        let ends = Some(Instant::now() + Duration::from_secs(5));
        let deadlines = Deadlines { begins: None, ends };
        let all = of(pieces, Author::new("m".into()), request::Stream::default(), deadlines);
        let last = all.map(|bytes| bytes.expect("it cannot fail")).collect::<Vec<_>>().await.pop().expect("the end");
        assert!(String::from_utf8_lossy(&last).contains("deadline_exceeded"), "{last:?}");
    }
}
