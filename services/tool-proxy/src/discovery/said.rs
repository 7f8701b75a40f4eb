//! What a server says of a tool, as far as that counts here, and how much it may say.

use std::hash::BuildHasher;
use std::mem::discriminant;

use rmcp::model::{Tool as Offered, ToolAnnotations};

use crate::config::{self, Mcp};
use crate::domain::Effect;

/// A larger schema or a longer description is nothing that a model could be shown.
const SCHEMA_BYTES_MAX: usize = 128 << 10;
const DESCRIPTION_BYTES_MAX: usize = 16 << 10;

/// What all tools of one server may say together.
pub(super) const LIST_BYTES_MAX: usize = 4 << 20;

/// A tool as its server and the operator describe it. Schemas of answers, icons and the like are not kept.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) tool: config::Tool,
    /// The schema of its arguments, as JSON.
    pub(super) schema: String,
}

impl Said {
    pub(super) fn new(offered: &Offered, config: &Mcp) -> Self {
        let described = offered.description.as_deref().unwrap_or_default();
        let tool = config.tool(&offered.name, described, offered.annotations.as_ref().and_then(annotated));
        // What is no text is no schema either: that is said where it is compiled.
        Self { tool, schema: serde_json::to_string(&offered.input_schema).unwrap_or_default() }
    }

    /// Whether it is something that a model could be shown.
    pub(super) fn check(&self) -> Result<(), String> {
        let parts = [
            ("schema", self.schema.len(), SCHEMA_BYTES_MAX),
            ("description", self.tool.description.len(), DESCRIPTION_BYTES_MAX),
        ];
        match parts.into_iter().find(|(_, bytes, max)| bytes > max) {
            None => Ok(()),
            Some((part, bytes, max)) => Err(format!("its {part} has {bytes} bytes, more than {max}")),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.tool.description.len() + self.schema.len()
    }

    /// The same for what says the same.
    pub(super) fn fingerprint(&self, by: &impl BuildHasher) -> u64 {
        by.hash_one((&self.tool.description, discriminant(&self.tool.effect), &self.schema))
    }
}

/// What the server says that repeating a call would do. Whether that counts is for the operator to say.
fn annotated(hints: &ToolAnnotations) -> Option<Effect> {
    match (hints.read_only_hint, hints.idempotent_hint) {
        (Some(true), _) => Some(Effect::ReadOnly),
        (_, Some(true)) => Some(Effect::Idempotent),
        (None, None) if hints.destructive_hint.is_none() => None,
        _ => Some(Effect::Effectful),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_are_read_by_the_strongest_promise() {
        let hints = |read_only, idempotent| {
            annotated(&ToolAnnotations::from_raw(None, read_only, Some(true), idempotent, None))
        };
        assert_eq!(hints(Some(true), None), Some(Effect::ReadOnly));
        assert_eq!(hints(Some(false), Some(true)), Some(Effect::Idempotent));
        assert_eq!(hints(None, None), Some(Effect::Effectful));
        assert_eq!(annotated(&ToolAnnotations::new()), None);
    }
}
