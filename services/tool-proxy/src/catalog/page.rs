//! A page of tools: as many as are asked for, and no more than a client takes in one message.

use std::sync::Arc;

use super::Tool;

/// What is told of the tools of one page, unless one alone is more. A gRPC client takes 4 MiB where nothing else is said.
const BYTES_MAX: usize = 1 << 20;

/// The first of these tools, at most so many, and whether there are more.
pub(crate) fn page<'t>(tools: impl Iterator<Item = &'t Arc<Tool>>, count_max: usize) -> (Vec<&'t Arc<Tool>>, bool) {
    let (mut tools, mut page, mut bytes) = (tools.peekable(), Vec::new(), 0);
    while let Some(tool) = tools.next_if(|tool| {
        bytes += told_bytes(tool);
        page.is_empty() || (page.len() < count_max && bytes <= BYTES_MAX)
    }) {
        page.push(tool);
    }
    (page, tools.peek().is_some())
}

fn told_bytes(tool: &Tool) -> usize {
    tool.name.len() + tool.description.len() + tool.schema.text().len()
}
