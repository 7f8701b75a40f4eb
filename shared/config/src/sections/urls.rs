use serde::Deserialize;

use crate::Invalid;

/// Where one service is: a base URL, or a list of them where several processes share a store. Never empty once checked.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Written")]
pub struct Urls(Vec<String>);

/// `"http://a:7071"`, or `["http://a:7071", "http://b:7071"]`.
#[derive(Deserialize)]
#[serde(untagged, expecting = "must be a URL, or a list of URLs")]
enum Written {
    One(String),
    Several(Vec<String>),
}

impl Urls {
    /// The first: where only one process is meant.
    pub fn first(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }

    /// All of them, in the order in which they stand.
    pub fn all(&self) -> &[String] {
        &self.0
    }

    /// Checks that each is a base URL, and none stands there twice.
    pub(super) fn validate(&self, key: &str) -> Result<(), Invalid> {
        let invalid = |why: String| Err(Invalid::new(key, why));
        if self.0.is_empty() {
            return invalid("must name at least one URL, such as \"http://127.0.0.1:7071\"".into());
        }
        for (index, url) in self.0.iter().enumerate() {
            let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
            let host = rest.map_or("", |rest| rest.split(['/', ':']).next().unwrap_or_default());
            if host.is_empty() || url.contains(|letter: char| letter.is_whitespace() || letter == ',') {
                return invalid(format!("{url:?} is not a base URL; write it as http://HOST:PORT, several as a list"));
            }
            let same = |other: &String| other.trim_end_matches('/') == url.trim_end_matches('/');
            if self.0[..index].iter().any(same) {
                return invalid(format!("{url} is there twice"));
            }
        }
        Ok(())
    }
}

impl From<Written> for Urls {
    fn from(written: Written) -> Self {
        match written {
            Written::One(url) => Self(vec![url]),
            Written::Several(urls) => Self(urls),
        }
    }
}

impl From<String> for Urls {
    fn from(url: String) -> Self {
        Self(vec![url])
    }
}

impl From<Vec<String>> for Urls {
    fn from(urls: Vec<String>) -> Self {
        Self(urls)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Common, ConfigError, Document};

    const VARIABLE: &str = "HOLDFAST_MESH__QUEUE";

    fn queues(text: &str, variable: Option<&str>) -> Result<Vec<String>, ConfigError> {
        let environment = variable.map(|value| (VARIABLE.to_owned(), value.to_owned()));
        let common = Common::from_document(&Document::parse("t.toml", text, environment)?)?;
        Ok(common.mesh.queue.all().to_vec())
    }

    #[test]
    fn the_queue_is_one_url_or_a_list_of_them() {
        assert_eq!(queues("", None).unwrap(), ["http://127.0.0.1:7071"]);
        assert_eq!(queues("[mesh]\nqueue = \"http://a:1\"", None).unwrap(), ["http://a:1"]);
        let two = "[mesh]\nqueue = [\"http://a:1\", \"https://b\"]";
        assert_eq!(queues(two, None).unwrap(), ["http://a:1", "https://b"]);
        assert_eq!(queues(two, Some("http://c:1")).unwrap(), ["http://c:1"], "the environment overrides the file");
        let list = r#"["http://c:1", "http://d:1"]"#;
        assert_eq!(queues("", Some(list)).unwrap(), ["http://c:1", "http://d:1"]);
    }

    #[test]
    fn a_list_that_cannot_be_right_is_told_by_its_line() {
        for (value, why) in [
            ("[]", "at least one"),
            ("[\"http://a:1\", \"b:1\"]", "\"b:1\" is not a base URL"),
            ("\"http://a:1,http://b:1\"", "several as a list"),
            ("[\"http://a:1\", \"http://a:1/\"]", "there twice"),
            ("\"http://:1\"", "not a base URL"),
            ("7071", "a URL, or a list of URLs"),
        ] {
            let error = queues(&format!("[mesh]\nqueue = {value}"), None).expect_err(value).to_string();
            assert!(error.starts_with("t.toml:2: mesh.queue: ") && error.contains(why), "{error}");
        }
        let error = queues("", Some("[]")).expect_err("an empty list").to_string();
        assert!(error.contains("mesh.queue: must name at least one"), "{error}");
    }
}
