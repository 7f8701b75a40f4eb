//! Server-sent events, read as they come: a chunk of the wire may end anywhere.
//! Source: <https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream>

use bytes::Bytes;

use super::{super::Failure, wire};
use crate::domain::{Chunk, Form};

/// Reads the events of one answer.
#[derive(Debug)]
pub(crate) struct Events {
    /// What came after the last line's end.
    rest: Vec<u8>,
    bytes: usize,
    bytes_max: usize,
    form: Form,
    ended: bool,
}

impl Events {
    pub(crate) fn new(bytes_max: usize, form: Form) -> Self {
        Self { rest: Vec::new(), bytes: 0, bytes_max, form, ended: false }
    }

    /// Whether the provider has said that this was all.
    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    /// The events that are complete with this piece of the wire.
    pub(crate) fn feed(&mut self, piece: &[u8]) -> Result<Vec<Chunk>, Failure> {
        self.bytes += piece.len();
        if self.bytes > self.bytes_max {
            return Err(Failure::Broken { how: "sent more than an answer may be" });
        }
        let mut chunks = Vec::new();
        let mut piece = piece;
        while let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            let (line, after) = piece.split_at(end);
            piece = &after[1..];
            if self.rest.is_empty() {
                self.line(line, &mut chunks)?;
            } else {
                let mut whole = std::mem::take(&mut self.rest);
                whole.extend_from_slice(line);
                self.line(&whole, &mut chunks)?;
            }
        }
        self.rest.extend_from_slice(piece);
        Ok(chunks)
    }

    /// One line. Each event of this protocol is one `data` line; comments and other fields say nothing.
    fn line(&mut self, line: &[u8], chunks: &mut Vec<Chunk>) -> Result<(), Failure> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(data) = line.strip_prefix(b"data:").filter(|_| !self.ended) else { return Ok(()) };
        let data = data.trim_ascii();
        if data == b"[DONE]" {
            self.ended = true;
            return Ok(());
        }
        let parts = wire::parts(data)?;
        let json = (self.form == Form::Json).then(|| Bytes::copy_from_slice(data));
        chunks.push(Chunk { parts, json });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{Finish, Part, Usage};

    const STREAM: &str = concat!(
        ": hello\r\n\r\n",
        "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\r\n\r\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"Grüße\"}}]}\n\n",
        "event: x\ndata:{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{}\"}}]}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n",
        "data: [DONE]\n\n",
    );

    fn expected() -> Vec<Part> {
        let call = |id: &str, name: &str, arguments: &str| Part::ToolCall {
            index: 0,
            id: id.into(),
            name: name.into(),
            arguments: arguments.into(),
        };
        vec![
            Part::Text("Grüße".into()),
            call("a", "f", ""),
            call("", "", "{}"),
            Part::Finish(Finish::ToolCalls),
            Part::Usage(Usage { input_tokens: 3, output_tokens: 4 }),
        ]
    }

    proptest! {
        #[test]
        fn parts_do_not_depend_on_where_the_wire_cuts(cuts in prop::collection::vec(0..STREAM.len(), 0..12)) {
            let mut cuts = cuts;
            cuts.extend([0, STREAM.len()]);
            cuts.sort_unstable();
            let mut events = Events::new(10_000, Form::Said);
            let mut parts = Vec::new();
            for ends in cuts.windows(2) {
                let chunks = events.feed(&STREAM.as_bytes()[ends[0]..ends[1]]).expect("it is well-formed");
                parts.extend(chunks.into_iter().flat_map(|chunk| chunk.parts));
            }
            prop_assert_eq!(parts, expected());
            prop_assert!(events.ended());
        }
    }

    #[test]
    fn a_line_without_an_end_does_not_grow_for_ever() {
        let mut events = Events::new(100, Form::Said);
        assert!(events.feed(&[b'x'; 60]).is_ok());
        assert!(events.feed(&[b'x'; 60]).is_err());
    }

    #[test]
    fn what_is_not_the_protocol_breaks_the_answer() {
        assert!(Events::new(100, Form::Said).feed(b"data: <html>\n").is_err());
    }
}
