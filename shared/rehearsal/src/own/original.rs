//! What is wrong with somebody's configuration itself, as far as it is played. What a rehearsal leaves out is not asked for: it
//! may be played where the secrets are not, nor the certificates.

use holdfast_config::{ConfigError, Document};

use super::{Own, PLACES, SERVICES, is_kept};

/// Stands for every secret: a variable that is set wherever programs are found.
const ANY: &str = "env:PATH";

impl Own {
    /// All that is wrong with it, as `check` tells it of a document.
    pub(crate) fn problems(&self, check: impl Fn(&Document) -> Vec<ConfigError>) -> Vec<ConfigError> {
        let document = Document::parse(&self.written.origin, &without_secrets(&self.written.text), []);
        let found = document.map_or_else(|error| vec![error], |document| check(&document));
        found.into_iter().filter(|problem| problem.key.as_deref().is_none_or(is_played)).collect()
    }
}

/// Whether a setting is among those that are played.
fn is_played(key: &str) -> bool {
    let mut parts = key.split(['.', '[']);
    let (section, setting) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    is_kept(section) && !(SERVICES.contains(&section) && PLACES.contains(&setting))
}

/// The same text, line by line, with one secret in place of each.
fn without_secrets(text: &str) -> String {
    let mut text = text.to_owned();
    for quote in ['"', '\''] {
        for kind in ["env:", "file:"] {
            let open = format!("{quote}{kind}");
            let mut pieces = text.split(&open);
            let mut replaced = pieces.next().unwrap_or_default().to_owned();
            for piece in pieces {
                match piece.find([quote, '\n']).filter(|end| piece[*end..].starts_with(quote)) {
                    Some(end) => replaced.extend([&quote.to_string(), ANY, &piece[end..]]),
                    None => replaced.extend([&open, piece]),
                }
            }
            text = replaced;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_asked_for_and_no_line_moves() {
        let text = "key = \"env:NOBODY_SETS_THIS\"\nother = 'file:/nowhere'\nplain = \"simulator:/v1\"\nodd = \"env:\n";
        let wanted = "key = \"env:PATH\"\nother = 'env:PATH'\nplain = \"simulator:/v1\"\nodd = \"env:\n";
        assert_eq!(without_secrets(text), wanted);
    }

    #[test]
    fn what_is_left_out_is_nobodys_problem() {
        let played = ["tools.crm.timeuot", "gateway.payload_max", "tool_proxy.host_breaker"].map(is_played);
        assert_eq!(played, [true; 3]);
        let left_out = ["tls.certificate", "gateway.keys[0].key", "gateway.address", "mcp.web.url"].map(is_played);
        assert_eq!(left_out, [false; 4]);
    }
}
