use std::sync::Arc;

use crate::{Error, HttpResponse};

/// How an error looks to the clients of a path.
pub type Refusal = fn(&Error) -> HttpResponse;

/// The prefixes of the paths that are served over plain HTTP: the names by which they are counted, and the words in which
/// their clients are refused.
#[derive(Debug, Clone, Default)]
pub(crate) struct Paths(Arc<[(&'static str, Refusal)]>);

impl Paths {
    pub(crate) fn new(prefixes: impl IntoIterator<Item = (&'static str, Refusal)>) -> Self {
        Self(prefixes.into_iter().collect())
    }

    /// The prefix under which a path stands.
    pub(crate) fn of(&self, path: &str) -> Option<&'static str> {
        self.find(path).map(|(prefix, _)| prefix)
    }

    /// How an error is told at a path.
    pub(crate) fn refusal(&self, path: &str) -> Refusal {
        self.find(path).map_or(super::refuse, |(_, refusal)| refusal)
    }

    fn find(&self, path: &str) -> Option<(&'static str, Refusal)> {
        let under =
            |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.0.iter().copied().find(|(prefix, _)| under(prefix))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::web::{self, openai};

    fn paths() -> Paths {
        Paths::new([("/mcp", web::refuse as Refusal), ("/v1", openai::refuse)])
    }

    #[test]
    fn a_path_is_counted_by_its_prefix_and_no_other() {
        for (path, name) in [("/mcp", Some("/mcp")), ("/v1/models/x", Some("/v1")), ("/mcpx", None), ("/", None)] {
            assert_eq!(paths().of(path), name, "{path}");
        }
    }

    #[test]
    fn each_path_is_refused_in_its_clients_words() {
        let full = Error::exhausted("full", Duration::from_millis(1_200));
        let told = |path: &str| paths().refusal(path)(&full).headers().contains_key("x-should-retry");
        assert!(told("/v1/models") && !told("/mcp") && !told("/elsewhere"));
    }
}
