//! What is said, in pieces: texts, pictures, documents.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use super::raw::{Members, Wordless, nothing_left, parse, take, take_members, take_text, text};

/// A piece of what is said.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Block<'a> {
    Text {
        text: Cow<'a, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a RawValue>,
    },
    Image {
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a RawValue>,
    },
    Document {
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<Cow<'a, str>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a RawValue>,
    },
    ToolUse {
        id: Cow<'a, str>,
        name: Cow<'a, str>,
        input: Box<RawValue>,
    },
    ToolResult {
        tool_use_id: Cow<'a, str>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        content: Vec<Block<'a>>,
    },
    /// In Anthropic's words already.
    #[serde(untagged)]
    Own(&'a RawValue),
}

/// Where a picture or a document is.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Source<'a> {
    Base64 { media_type: String, data: Cow<'a, str> },
    Url { url: Cow<'a, str> },
}

/// What chat completions does not have, and Anthropic's own callers write.
const OWN: [&str; 5] = ["document", "image", "redacted_thinking", "search_result", "thinking"];

impl<'a> Block<'a> {
    fn said(text: Cow<'a, str>) -> Self {
        Self::Text { text, cache_control: None }
    }
}

/// The pieces of a content: a text, or a list of parts. Texts without a letter are left out: Anthropic refuses them.
pub(super) fn blocks(content: &RawValue) -> Result<Vec<Block<'_>>, Wordless> {
    let mut blocks = Vec::new();
    if let Some(text) = text(content) {
        add_text(&mut blocks, text);
        return Ok(blocks);
    }
    let parts: Option<Vec<&RawValue>> = parse(content);
    let Some(parts) = parts else { return Err(Wordless::new("", "is neither a text nor a list of parts")) };
    for (at, part) in parts.into_iter().enumerate() {
        let block = block(part).map_err(|wordless| wordless.under(format_args!("[{at}]")))?;
        blocks.extend(block);
    }
    Ok(blocks)
}

/// Adds a text, where it says something.
pub(super) fn add_text<'a>(blocks: &mut Vec<Block<'a>>, text: Cow<'a, str>) {
    if !text.is_empty() {
        blocks.push(Block::said(text));
    }
}

fn block(part: &RawValue) -> Result<Option<Block<'_>>, Wordless> {
    let mut members: Members<'_> = parse(part).ok_or_else(|| Wordless::new("", "is not a part"))?;
    let kind = take_text(&mut members, "type")?;
    if OWN.contains(&&*kind) {
        return Ok(Some(Block::Own(part)));
    }
    let cache_control = take(&mut members, "cache_control");
    let block = match &*kind {
        "text" => {
            let text = take_text(&mut members, "text")?;
            (!text.is_empty()).then_some(Block::Text { text, cache_control })
        }
        "refusal" => {
            let text = take_text(&mut members, "refusal")?;
            (!text.is_empty()).then_some(Block::Text { text, cache_control })
        }
        "image_url" => {
            let mut image = take_members(&mut members, "image_url")?;
            // How closely to look at it: a hint, where Anthropic takes none.
            image.remove("detail");
            let source = source(take_text(&mut image, "url")?).map_err(|wordless| wordless.under("image_url"))?;
            nothing_left(image).map_err(|wordless| wordless.under("image_url"))?;
            Some(Block::Image { source, cache_control })
        }
        "file" => {
            let mut file = take_members(&mut members, "file")?;
            let title = take(&mut file, "filename").and_then(text);
            let data = take_text(&mut file, "file_data")?;
            nothing_left(file).map_err(|wordless| wordless.under("file"))?;
            let source = source(data).map_err(|_| Wordless::new("file.file_data", "must be a data: URL in base64"))?;
            Some(Block::Document { source, title, cache_control })
        }
        kind => return Err(Wordless::new("type", format!("Anthropic's protocol has nothing for {kind:?}"))),
    };
    nothing_left(members)?;
    Ok(block)
}

/// `data:MEDIA;base64,DATA`, or an address.
fn source(url: Cow<'_, str>) -> Result<Source<'_>, Wordless> {
    let Some(inline) = url.strip_prefix("data:") else {
        let known = ["https://", "http://"].iter().any(|scheme| url.starts_with(scheme));
        return if known { Ok(Source::Url { url }) } else { Err(Wordless::new("url", "must be https:// or data:")) };
    };
    let (media, data) = inline.split_once(',').unwrap_or((inline, ""));
    let Some(media_type) = media.strip_suffix(";base64") else {
        return Err(Wordless::new("url", "must be in base64, where it is a data: URL"));
    };
    let (media_type, start) = (media_type.to_owned(), url.len() - data.len());
    let data = match url {
        Cow::Borrowed(url) => Cow::Borrowed(&url[start..]),
        Cow::Owned(mut url) => Cow::Owned(url.split_off(start)),
    };
    Ok(Source::Base64 { media_type, data })
}
