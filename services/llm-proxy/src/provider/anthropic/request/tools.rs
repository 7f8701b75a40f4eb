use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    fields::Known,
    raw::{Members, Wordless, nothing_left, parse, take, take_members, take_text, text},
};

/// A tool that may be called.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Tool<'a> {
    Function(Function<'a>),
    /// In Anthropic's words already, such as its own web search.
    Own(&'a RawValue),
}

#[derive(Debug, Serialize)]
pub(super) struct Function<'a> {
    name: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a RawValue>,
    input_schema: Schema<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<&'a RawValue>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Schema<'a> {
    Said(&'a RawValue),
    /// Of a tool that takes nothing.
    None {
        #[serde(rename = "type")]
        kind: &'static str,
    },
}

/// Which tools may, or must, be called.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Choice<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    disable_parallel_tool_use: bool,
}

/// The tools that are offered.
pub(super) fn offered(tools: &RawValue) -> Result<Vec<Tool<'_>>, Wordless> {
    let list: Option<Vec<&RawValue>> = parse(tools);
    let list = list.ok_or_else(|| Wordless::new("tools", "is not a list of tools"))?.into_iter().enumerate();
    list.map(|(at, offered)| tool(offered).map_err(|wordless| wordless.under(format_args!("tools[{at}]")))).collect()
}

fn tool(offered: &RawValue) -> Result<Tool<'_>, Wordless> {
    let mut members: Members<'_> = parse(offered).ok_or_else(|| Wordless::new("", "is not a tool"))?;
    match &*take_text(&mut members, "type")? {
        "function" => {}
        "custom" if members.contains_key("custom") => {
            return Err(Wordless::new("type", "Anthropic's tools take JSON, and no text of their own"));
        }
        _ => return Ok(Tool::Own(offered)),
    }
    let cache_control = take(&mut members, "cache_control");
    let mut function = take_members(&mut members, "function")?;
    nothing_left(members)?;
    let read = || -> Result<_, Wordless> {
        let tool = Function {
            name: take_text(&mut function, "name")?,
            description: take(&mut function, "description"),
            input_schema: take(&mut function, "parameters").map_or(Schema::None { kind: "object" }, Schema::Said),
            strict: take(&mut function, "strict").and_then(parse).filter(|strict| *strict),
            cache_control,
        };
        nothing_left(function)?;
        Ok(Tool::Function(tool))
    };
    read().map_err(|wordless| wordless.under("function"))
}

/// The choice, where one is made.
pub(super) fn choice(fields: Known<'_>) -> Result<Option<Choice<'_>>, Wordless> {
    let chosen = fields.get("tool_choice").map(chosen).transpose();
    let chosen = chosen.map_err(|wordless| wordless.under("tool_choice"))?;
    let one_by_one = fields.get("parallel_tool_calls").is_some_and(|parallel| parallel.get() == "false");
    Ok(match chosen {
        Some(choice) if one_by_one && choice.kind != "none" => {
            Some(Choice { disable_parallel_tool_use: true, ..choice })
        }
        None if one_by_one && fields.get("tools").is_some() => {
            Some(Choice { disable_parallel_tool_use: true, ..Choice::of("auto") })
        }
        chosen => chosen,
    })
}

impl Choice<'_> {
    const fn of(kind: &'static str) -> Self {
        Self { kind, name: None, disable_parallel_tool_use: false }
    }
}

fn chosen(choice: &RawValue) -> Result<Choice<'_>, Wordless> {
    if let Some(word) = text(choice) {
        return match &*word {
            "auto" => Ok(Choice::of("auto")),
            "none" => Ok(Choice::of("none")),
            "required" => Ok(Choice::of("any")),
            word => Err(Wordless::new("", format!("Anthropic's protocol has nothing for {word:?}"))),
        };
    }
    let mut members: Members<'_> = parse(choice).ok_or_else(|| Wordless::new("", "is not a choice"))?;
    let kind = take_text(&mut members, "type")?;
    if &*kind != "function" {
        return Err(Wordless::new("type", format!("Anthropic's protocol has nothing for {kind:?}")));
    }
    let mut function = take_members(&mut members, "function")?;
    Ok(Choice { name: Some(take_text(&mut function, "name")?), ..Choice::of("tool") })
}
