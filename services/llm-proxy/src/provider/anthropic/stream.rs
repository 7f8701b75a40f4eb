use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    super::{
        Failure,
        http::{Reader, judge_said},
        told,
    },
    answer::{Block, Counts, finish},
};
use crate::domain::{Chunk, Part};

/// What is broken: it is no event of this protocol.
const NO_EVENT: Failure = Failure::Broken { how: "sent an event that is not one" };
/// The most pieces that one answer may have.
const BLOCKS_MAX: usize = 4_096;

/// An event. They all have their type inside.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(default)]
    index: u32,
    #[serde(default)]
    message: Option<Opening>,
    #[serde(default, borrow)]
    content_block: Option<Block<'a>>,
    #[serde(default, borrow)]
    delta: Option<Delta<'a>>,
    #[serde(default)]
    usage: Option<Counts>,
}

#[derive(Default, Deserialize)]
struct Opening {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    usage: Option<Counts>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    partial_json: Option<String>,
    #[serde(default, borrow)]
    stop_reason: Option<Cow<'a, str>>,
}

/// Reads the events of one answer.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    calls: Vec<OpenCall>,
    counts: Counts,
    stopped: bool,
    ended: bool,
}

/// A tool's call, by the block of the answer that it is.
#[derive(Debug)]
struct OpenCall {
    block: u32,
    /// Its arguments, for as long as none came piece by piece.
    input: Option<String>,
}

impl Parts {
    fn parts(&mut self, event: Event<'_>) -> Result<Vec<Part>, Failure> {
        Ok(match &*event.kind {
            "message_start" => {
                let opening = event.message.unwrap_or_default();
                told::response_id(opening.id.as_deref());
                self.counted(opening.usage)
            }
            "content_block_start" => self.begun(event.index, event.content_block)?,
            "content_block_delta" => self.more(event.index, event.delta),
            "content_block_stop" => self.closed(event.index),
            "message_delta" => {
                let stop_reason = event.delta.and_then(|delta| delta.stop_reason);
                self.stopped |= stop_reason.is_some();
                let mut parts = self.counted(event.usage);
                parts.extend(stop_reason.map(|reason| Part::Finish(finish(&reason))));
                parts
            }
            "message_stop" => {
                self.ended = true;
                Vec::new()
            }
            // A ping, or what is newer than this.
            _ => Vec::new(),
        })
    }

    fn counted(&mut self, counts: Option<Counts>) -> Vec<Part> {
        self.counts.update(counts.unwrap_or_default());
        counts.and_then(|_| self.counts.usage()).map(Part::Usage).into_iter().collect()
    }

    fn begun(&mut self, block: u32, content: Option<Block<'_>>) -> Result<Vec<Part>, Failure> {
        let Some(content) = content else { return Ok(Vec::new()) };
        if &*content.kind != "tool_use" {
            let text = content.text.filter(|text| &*content.kind == "text" && !text.is_empty());
            return Ok(text.map(Part::Text).into_iter().collect());
        }
        if self.calls.len() >= BLOCKS_MAX {
            return Err(Failure::Broken { how: "asked for more tools than an answer may" });
        }
        let input = content.input.map_or("{}", RawValue::get).to_owned();
        self.calls.push(OpenCall { block, input: Some(input) });
        Ok(vec![Part::ToolCall {
            index: self.calls.len() as u32 - 1,
            id: content.id.unwrap_or_default(),
            name: content.name.unwrap_or_default(),
            arguments: String::new(),
        }])
    }

    fn more(&mut self, block: u32, delta: Option<Delta<'_>>) -> Vec<Part> {
        let Some(delta) = delta else { return Vec::new() };
        let text = delta.text.filter(|text| !text.is_empty()).map(Part::Text);
        let json = delta.partial_json.filter(|json| !json.is_empty());
        let arguments = json.and_then(|json| {
            let call = self.calls.iter().position(|call| call.block == block)?;
            self.calls[call].input = None;
            Some(arguments(call, json))
        });
        text.into_iter().chain(arguments).collect()
    }

    /// A call without arguments has empty ones, or those with which it began.
    fn closed(&mut self, block: u32) -> Vec<Part> {
        let call = self.calls.iter().position(|call| call.block == block);
        let input = call.and_then(|call| Some((call, self.calls[call].input.take()?)));
        input.map(|(call, input)| arguments(call, input)).into_iter().collect()
    }
}

fn arguments(call: usize, arguments: String) -> Part {
    Part::ToolCall { index: call as u32, id: String::new(), name: String::new(), arguments }
}

impl Reader for Parts {
    fn event(&mut self, data: Bytes) -> Result<Option<Chunk>, Failure> {
        let no_event = || judge_said(&data).unwrap_or(NO_EVENT);
        let event: Event<'_> = serde_json::from_slice(&data).map_err(|_| no_event())?;
        if event.kind == "error" {
            return Err(no_event());
        }
        let parts = self.parts(event)?;
        Ok((!parts.is_empty()).then_some(Chunk { parts, json: None }))
    }

    fn ended(&self) -> bool {
        self.ended
    }

    fn complete(&self) -> bool {
        self.stopped
    }
}

#[cfg(test)]
mod tests;
