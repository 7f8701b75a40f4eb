//! What a tool says goes through untouched, but for the secrets that it was shown: some repeat them in what they say of an
//! error. From here answers go to callers, to models, and into records.

use std::fmt;
use std::sync::Arc;

use reqwest::header::HeaderValue;

use super::{Heard, headers};
use crate::config::Tool;

/// Shorter ones are no secrets, and may stand in any text.
const LENGTH_MIN: usize = 8;
const INSTEAD: &str = "…";

/// The secrets of a tool, in every form in which it is shown them.
#[derive(Clone, Default)]
pub(super) struct Discreet(Arc<[String]>);

impl Discreet {
    /// Those that stand in the headers of a tool, and what they are made of.
    pub(super) fn of(tool: &Tool) -> Self {
        let headers = headers(tool).unwrap_or_default();
        let hidden = headers.values().filter(|value| value.is_sensitive()).filter_map(text);
        // After the scheme, which is none.
        let parts = hidden.map(|value| value.split_once(' ').map_or(value, |(_, secret)| secret).to_owned());
        let password = tool.basic.iter().map(|basic| basic.password.reveal().trim().to_owned());
        let plain: Vec<_> = parts.chain(password).filter(|secret| secret.len() >= LENGTH_MIN).collect();
        let escaped = plain.iter().map(|secret| serde_json::Value::from(secret.as_str()).to_string());
        let escaped: Vec<_> = escaped.map(|quoted| quoted[1..quoted.len() - 1].to_owned()).collect();
        let mut forms = [plain, escaped].concat();
        forms.sort();
        forms.dedup();
        Self(forms.into())
    }

    /// The answer without them.
    pub(super) fn hear(&self, heard: Heard) -> Heard {
        let Ok(text) = std::str::from_utf8(&heard.content) else { return heard };
        let mut told = self.0.iter().filter(|secret| text.contains(secret.as_str())).peekable();
        if told.peek().is_none() {
            return heard;
        }
        let content = told.fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), INSTEAD));
        Heard { content: content.into(), ..heard }
    }
}

fn text(value: &HeaderValue) -> Option<&str> {
    // What is sensitive came from text; only ASCII is shown back.
    value.to_str().ok()
}

impl fmt::Debug for Discreet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Discreet")
    }
}

#[cfg(test)]
mod tests {
    use holdfast_config::Secret;

    use super::*;
    use crate::config::Basic;
    use crate::domain::Outcome;

    fn said(tool: &Tool, content: &str) -> String {
        let content = content.to_owned().into();
        let heard = Heard { outcome: Outcome::ToolError, content, content_type: "text/plain".into(), healthy: true };
        String::from_utf8(Discreet::of(tool).hear(heard).content.to_vec()).expect("it is text")
    }

    #[test]
    fn a_tool_that_repeats_its_secret_is_not_repeated() {
        let bearer = Tool { bearer: Some(Secret::in_memory("canary/\"key\"")), ..Tool::default() };
        assert_eq!(said(&bearer, "Bearer canary/\"key\" is not known"), "Bearer … is not known");
        assert_eq!(said(&bearer, r#"{"error":"canary/\"key\" is not known"}"#), r#"{"error":"… is not known"}"#);
        let header =
            Tool { secret_headers: [("x-key".to_owned(), Secret::in_memory("canary-key"))].into(), ..Tool::default() };
        assert_eq!(said(&header, "x-key: canary-key"), "x-key: …");
        let basic = Basic { user: "shop".into(), password: Secret::in_memory("canary-password") };
        let basic = Tool { basic: Some(basic), ..Tool::default() };
        assert_eq!(said(&basic, "Basic c2hvcDpjYW5hcnktcGFzc3dvcmQ= canary-password"), "Basic … …");
    }

    #[test]
    fn whatever_else_it_says_goes_through_untouched() {
        let tool = Tool { bearer: Some(Secret::in_memory("short")), ..Tool::default() };
        assert_eq!(said(&tool, "a short answer"), "a short answer");
        assert_eq!(said(&Tool::default(), "Bearer canary"), "Bearer canary");
    }
}
