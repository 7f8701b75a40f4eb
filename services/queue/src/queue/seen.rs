//! The agent types that have a depth of their own to show.

use std::collections::HashSet;
use std::sync::Arc;

use crate::metrics;

/// Agent types that get labels of their own; the names come from callers, and every label costs memory for good.
const AGENTS_MAX: usize = 500;

/// Agent types that have had work since the start. Once seen, one is shown for good: a depth that is gone from the page
/// cannot be told from one that nobody measures.
#[derive(Debug, Default, Clone)]
pub(crate) struct Seen(HashSet<Arc<str>>);

impl Seen {
    /// Work of an agent type has come. The first is shown at once, however soon it is done.
    pub(crate) fn add(&mut self, agent: &Arc<str>) {
        if !self.0.contains(agent) && !self.is_full() {
            metrics::appeared(agent);
            self.0.insert(Arc::clone(agent));
        }
    }

    pub(crate) fn contains(&self, agent: &str) -> bool {
        self.0.contains(agent)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.iter()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.0.len() >= AGENTS_MAX
    }
}
