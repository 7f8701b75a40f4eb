//! The tools as an MCP client sees them.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use holdfast_rpc::Error;
use rmcp::model::{CacheScope, JsonObject, ListToolsResult, MetaObject, Tool, ToolAnnotations};
use serde_json::Value;

use crate::catalog;
use crate::domain::Effect;

/// Tools in one page, at most.
const PAGE: usize = 100;
/// What repeating a call would do, in a tool's `_meta`.
const EFFECT: &str = "holdfast/effect";

/// The page that begins after a cursor; `tools` come by name.
///
/// # Errors
/// INVALID_ARGUMENT where the cursor is none of ours.
pub(super) fn page(tools: Vec<Arc<catalog::Tool>>, cursor: Option<&str>) -> Result<ListToolsResult, Error> {
    let after = cursor.map(read).transpose()?;
    let left = tools.iter().filter(|tool| after.as_ref().is_none_or(|after| tool.name > *after));
    let (listed, more) = catalog::page(left, PAGE);
    let next = listed.last().filter(|_| more).map(|tool| URL_SAFE_NO_PAD.encode(tool.name.as_bytes()));
    let mut page = ListToolsResult::with_all_items(listed.into_iter().map(|entry| tool(entry)).collect());
    page.next_cursor = next;
    // Another caller may see others.
    Ok(page.with_ttl_ms(0).with_cache_scope(CacheScope::Private))
}

/// A name, so a page goes on where the last one ended, whatever came or went meanwhile.
fn read(cursor: &str) -> Result<String, Error> {
    let name = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|name| String::from_utf8(name).ok());
    name.ok_or_else(|| Error::invalid("cursor", "is none that was given out here"))
}

/// One tool. What it is declared to do is what clients call hints.
pub(super) fn tool(tool: &catalog::Tool) -> Tool {
    let description = Some(tool.description.clone()).filter(|description| !description.is_empty());
    let hints = match tool.effect {
        Effect::ReadOnly => ToolAnnotations::new().read_only(true).destructive(false).idempotent(true),
        Effect::Idempotent => ToolAnnotations::new().read_only(false).idempotent(true),
        Effect::Effectful => ToolAnnotations::new().read_only(false).idempotent(false),
    };
    let mut meta = MetaObject::new();
    meta.insert(EFFECT.into(), effect(tool.effect).into());
    Tool::new_with_raw(tool.name.clone(), description.map(Into::into), schema(tool.schema.text()))
        .with_annotations(hints)
        .with_meta(meta)
}

/// Arguments are an object, and clients want to read that.
fn schema(text: &str) -> Arc<JsonObject> {
    let mut schema = match serde_json::from_str(text) {
        Ok(Value::Object(schema)) => schema,
        _ => JsonObject::new(),
    };
    schema.entry("type").or_insert_with(|| "object".into());
    Arc::new(schema)
}

const fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::ReadOnly => "read_only",
        Effect::Idempotent => "idempotent",
        Effect::Effectful => "effectful",
    }
}
