//! What a request of a tool looks like, and which argument goes where in it.

use std::collections::BTreeSet;

use reqwest::Url;
use serde_json::{Map, Value};

use super::address::{Address, append_value};
use super::body::Body;
use crate::config::Tool;

/// A key that does not hold, and why.
pub(super) type Wrong = (String, String);

/// An argument that cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unfit {
    pub(crate) argument: String,
    pub(crate) why: String,
}

/// The places for arguments. What has none of its own goes into the body, or where there is none into the query; but
/// where the body is configured, it is what it says and nothing else.
#[derive(Debug)]
pub(crate) struct Form {
    address: Address,
    body: Option<Body>,
    has_body: bool,
    /// The arguments with a place of their own.
    placed: BTreeSet<String>,
}

impl Form {
    /// The form of a tool as it is written, before the mesh is known; an error names the key and why.
    pub(crate) fn of(tool: &Tool) -> Result<Self, Wrong> {
        match tool.url.strip_prefix("simulator:") {
            Some(path) => Self::new(tool, &format!("http://simulator{path}")),
            None => Self::new(tool, &tool.url),
        }
    }

    /// The form of a tool at a URL; an error names the key and why.
    pub(super) fn new(tool: &Tool, url: &str) -> Result<Self, Wrong> {
        let address = Address::parse(url, &tool.query)?;
        let body = tool.body.as_ref().map(Body::parse).transpose().map_err(|why| ("body".to_owned(), why))?;
        let has_body = tool.method.has_body();
        if body.is_some() && !has_body {
            return Err(("body".into(), "is for POST, PUT and PATCH: GET and DELETE send none".into()));
        }
        let named = address.names().map(|(_, name)| name).chain(body.iter().flat_map(Body::names));
        let placed = named.map(str::to_owned).collect();
        Ok(Self { address, body, has_body, placed })
    }

    /// Checks the placeholders against the arguments that the tool declares; an error names the key and why.
    pub(crate) fn check(&self, declared: &BTreeSet<String>) -> Result<(), Wrong> {
        let body = self.body.iter().flat_map(Body::names).map(|name| ("body".to_owned(), name));
        if let Some((key, name)) = self.address.names().chain(body).find(|(_, name)| !declared.contains(*name)) {
            let known = declared.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            return Err((key, format!("{{{name}}} is no property of the tool's schema, which has: {known}")));
        }
        let mut rest = declared.iter().filter(|name| !self.placed.contains(*name));
        if self.body.is_some() {
            return match rest.next() {
                Some(name) => Err(("body".into(), format!("has no place for the argument {name:?}: it would be lost"))),
                None => Ok(()),
            };
        }
        match rest.find(|name| !self.has_body && self.address.sets(name)) {
            Some(name) => Err(("query".into(), format!("sets {name:?}, which is an argument without a place, too"))),
            None => Ok(()),
        }
    }

    /// Where a request goes.
    ///
    /// # Errors
    /// The first argument that is missing or does not fit into its place.
    pub(super) fn url(&self, arguments: &Map<String, Value>) -> Result<Url, Unfit> {
        let mut url = self.address.fill(arguments)?;
        if !self.has_body {
            for (name, value) in self.rest(arguments) {
                if self.address.sets(name) {
                    let why = "is set by the tool's own configuration".into();
                    return Err(Unfit { argument: name.clone(), why });
                }
                append_value(&mut url, name, value);
            }
        }
        Ok(url)
    }

    /// What a request carries, as JSON.
    pub(super) fn body(&self, arguments: &Map<String, Value>) -> Option<Vec<u8>> {
        let value = match &self.body {
            Some(body) => body.fill(arguments),
            None if self.has_body => {
                Value::Object(self.rest(arguments).map(|(name, value)| (name.clone(), value.clone())).collect())
            }
            None => return None,
        };
        Some(value.to_string().into())
    }

    fn rest<'a>(&'a self, arguments: &'a Map<String, Value>) -> impl Iterator<Item = (&'a String, &'a Value)> {
        arguments.iter().filter(|(name, _)| !self.placed.contains(*name))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::config::Method;

    fn arguments(value: Value) -> Map<String, Value> {
        value.as_object().expect("an object").clone()
    }

    #[test]
    fn what_has_a_place_goes_nowhere_else() {
        let query = [("q".to_owned(), json!("{q}"))].into();
        let tool = Tool { url: "http://h/{id}".into(), query, ..Tool::default() };
        let form = Form::of(&tool).expect("a form");
        let all = arguments(json!({"id": 1, "q": [2, 3], "rest": {"id": 4}}));
        assert_eq!(form.url(&all).expect("they fit").as_str(), "http://h/1?q=2&q=3");
        assert_eq!(form.body(&all), Some(br#"{"rest":{"id":4}}"#.into()));
        let get = Form::of(&Tool { method: Method::Get, ..tool }).expect("a form");
        assert_eq!(get.url(&all).expect("they fit").as_str(), "http://h/1?q=2&q=3&rest=%7B%22id%22%3A4%7D");
        assert_eq!(get.body(&all), None);
    }

    proptest! {
        #[test]
        fn what_has_no_place_is_one_parameter_of_its_own_name(
            name in prop_oneof![any::<String>(), proptest::sample::select(vec!["role", "Role", "role=root&a", "role#", "x&role"]).prop_map(str::to_owned)],
            value in any::<String>(),
        ) {
            let tool = Tool { url: "http://h/p?role=guest".into(), method: Method::Get, ..Tool::default() };
            let form = Form::of(&tool).expect("a form");
            let Ok(url) = form.url(&[(name.clone(), Value::from(value.clone()))].into_iter().collect()) else {
                prop_assert!(name.eq_ignore_ascii_case("role"), "only what would stand beside a configured one is refused");
                return Ok(());
            };
            prop_assert!(!name.eq_ignore_ascii_case("role"));
            let read = Url::parse(url.as_str()).expect("a URL");
            prop_assert_eq!((read.host_str(), read.path(), read.fragment()), (Some("h"), "/p", None));
            let pairs: Vec<_> = read.query_pairs().into_owned().collect();
            prop_assert_eq!(pairs, [("role".to_owned(), "guest".to_owned()), (name, value)]);
        }
    }
}
