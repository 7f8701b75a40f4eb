//! The conversation: what system and developers say stands before it, and two who speak by turns are left.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    content::{Block, add_text, blocks},
    raw::{Members, Wordless, nothing_left, parse, take, take_members, take_text},
};

/// What is not said to a model: a label, and what came with an earlier answer beside its text.
const LABELS: [&str; 5] = ["annotations", "name", "reasoning", "reasoning_content", "reasoning_details"];

#[derive(Debug, Default)]
pub(super) struct Conversation<'a> {
    pub(super) system: Vec<Block<'a>>,
    pub(super) turns: Vec<Turn<'a>>,
}

#[derive(Debug, Serialize)]
pub(super) struct Turn<'a> {
    role: Role,
    content: Vec<Block<'a>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Role {
    User,
    Assistant,
}

/// Reads the messages.
pub(super) fn read(messages: &RawValue) -> Result<Conversation<'_>, Wordless> {
    let list: Option<Vec<Members<'_>>> = parse(messages);
    let list = list.ok_or_else(|| Wordless::new("messages", "is not a list of messages"))?;
    let mut conversation = Conversation::default();
    for (at, message) in list.into_iter().enumerate() {
        let added = conversation.add(message);
        added.map_err(|wordless| wordless.under(format_args!("messages[{at}]")))?;
    }
    Ok(conversation)
}

impl<'a> Conversation<'a> {
    fn add(&mut self, mut message: Members<'a>) -> Result<(), Wordless> {
        message.retain(|name, _| !LABELS.contains(&&*name.0));
        let role = take_text(&mut message, "role")?;
        let content = take(&mut message, "content").map(blocks).transpose();
        let mut content = content.map_err(|wordless| wordless.under("content"))?.unwrap_or_default();
        match &*role {
            "system" | "developer" => self.system.append(&mut content),
            "user" if content.is_empty() => return Err(Wordless::new("content", "is empty, which Anthropic refuses")),
            "user" => self.say(Role::User, content),
            "assistant" => {
                add_text(&mut content, take_text(&mut message, "refusal")?);
                content.append(&mut calls(&mut message)?);
                self.say(Role::Assistant, content);
            }
            "tool" => {
                let tool_use_id = id(take_text(&mut message, "tool_call_id")?);
                self.say(Role::User, vec![Block::ToolResult { tool_use_id, content }]);
            }
            role => return Err(Wordless::new("role", format!("Anthropic's protocol has nothing for {role:?}"))),
        }
        nothing_left(message)
    }

    /// Who goes on speaking has one turn.
    fn say(&mut self, role: Role, mut content: Vec<Block<'a>>) {
        match self.turns.last_mut().filter(|turn| turn.role == role) {
            Some(turn) => turn.content.append(&mut content),
            // A model that had said nothing is left out.
            None if content.is_empty() => {}
            None => self.turns.push(Turn { role, content }),
        }
    }
}

/// The tools that a model wished to call.
fn calls<'a>(message: &mut Members<'a>) -> Result<Vec<Block<'a>>, Wordless> {
    let Some(calls) = take(message, "tool_calls") else { return Ok(Vec::new()) };
    let calls: Option<Vec<Members<'_>>> = parse(calls);
    let calls = calls.ok_or_else(|| Wordless::new("tool_calls", "is not a list of calls"))?.into_iter();
    let called = |(at, members)| call(members).map_err(|wordless| wordless.under(format_args!("tool_calls[{at}]")));
    calls.enumerate().map(called).collect()
}

fn call(mut members: Members<'_>) -> Result<Block<'_>, Wordless> {
    let kind = take_text(&mut members, "type")?;
    if !["", "function"].contains(&&*kind) {
        return Err(Wordless::new("type", format!("Anthropic's protocol has nothing for {kind:?}")));
    }
    members.remove("index");
    let id = id(take_text(&mut members, "id")?);
    let mut function = take_members(&mut members, "function")?;
    let name = take_text(&mut function, "name").map_err(|wordless| wordless.under("function"))?;
    let arguments = take_text(&mut function, "arguments").map_err(|wordless| wordless.under("function"))?;
    nothing_left(function).map_err(|wordless| wordless.under("function"))?;
    nothing_left(members)?;
    let arguments = if arguments.trim().is_empty() { "{}".to_owned() } else { arguments.into_owned() };
    let input = RawValue::from_string(arguments).ok().filter(|input| input.get().trim_start().starts_with('{'));
    let input = input.ok_or_else(|| Wordless::new("function.arguments", "must be the text of a JSON object"))?;
    Ok(Block::ToolUse { id, name, input })
}

/// A call's id, in the letters that Anthropic takes: another provider may have made it up.
fn id(id: Cow<'_, str>) -> Cow<'_, str> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
    if id.chars().all(plain) { id } else { id.replace(|letter| !plain(letter), "_").into() }
}
