//! Where a call stands: the key of its record, and what makes it the same call.

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// The place of a call in its invocation, or the caller's own key: where its record lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) tenant: String,
    pub(crate) partition: String,
    pub(crate) key: String,
    /// The lease token as it came in; none outside of an invocation.
    pub(crate) lease: Option<String>,
    /// The invocation's session; empty without one.
    pub(crate) session: String,
}

impl Slot {
    /// A call of an invocation.
    pub(crate) fn of_step(tenant: &str, invocation_id: &str, step: u32, index: u32, lease: String) -> Self {
        Self {
            tenant: tenant.into(),
            partition: invocation_id.into(),
            key: format!("{step}.{index}"),
            lease: Some(lease),
            session: String::new(),
        }
    }

    /// The same within a session.
    pub(crate) fn in_session(self, session: &str) -> Self {
        Self { session: session.into(), ..self }
    }

    /// Session and id of the invocation, inside of one.
    pub(crate) fn invocation(&self) -> Option<(&str, &str)> {
        self.is_leased().then_some((&*self.session, &*self.partition))
    }

    /// Whether it is in an invocation.
    pub(crate) const fn is_leased(&self) -> bool {
        self.lease.is_some()
    }

    /// A call outside of an invocation, by its caller's key.
    pub(crate) fn of_key(tenant: &str, idempotency_key: &str) -> Self {
        Self {
            tenant: tenant.into(),
            partition: format!("key:{idempotency_key}"),
            key: "0.0".into(),
            lease: None,
            session: String::new(),
        }
    }

    /// What the tool is sent to deduplicate by: the same for every attempt and every repeat, and telling a stranger
    /// nothing about tenant or invocation.
    pub(crate) fn idempotency_key(&self) -> String {
        digest(&[&self.tenant, &self.partition, &self.key])
    }
}

/// What makes two calls the same: the tool and the arguments, whatever the order of their fields.
pub(crate) fn fingerprint(tool: &str, arguments: &Map<String, Value>) -> String {
    let mut text = String::new();
    write_object(arguments, &mut text);
    digest(&[tool, &text])
}

/// Each part is preceded by its length, so that no two lists of parts look alike.
fn digest(parts: &[&str]) -> String {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update((part.len() as u64).to_be_bytes());
        sha.update(part.as_bytes());
    }
    hex(&sha.finalize())
}

/// A formatter called for each byte would cost more than the digest.
fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 });
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn write_object(object: &Map<String, Value>, text: &mut String) {
    let mut fields: Vec<_> = object.iter().collect();
    fields.sort_unstable_by_key(|(name, _)| *name);
    text.push('{');
    for (name, value) in fields {
        text.push_str(&Value::from(name.as_str()).to_string());
        text.push(':');
        write_value(value, text);
        text.push(',');
    }
    text.push('}');
}

fn write_value(value: &Value, text: &mut String) {
    match value {
        Value::Object(object) => write_object(object, text),
        Value::Array(items) => {
            text.push('[');
            for item in items {
                write_value(item, text);
                text.push(',');
            }
            text.push(']');
        }
        plain => text.push_str(&plain.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(tool: &str, json: &str) -> String {
        fingerprint(tool, &serde_json::from_str(json).expect("an object"))
    }

    #[test]
    fn the_order_of_fields_makes_no_other_call() {
        assert_eq!(
            print("t", r#"{"a":1,"b":{"c":[1,2],"d":null}}"#),
            print("t", r#"{"b":{"d":null,"c":[1,2]},"a":1}"#)
        );
    }

    #[test]
    fn other_arguments_or_another_tool_make_another_call() {
        let first = print("t", r#"{"a":[1,2]}"#);
        assert_ne!(first, print("t", r#"{"a":[2,1]}"#));
        assert_ne!(first, print("t", r#"{"a":["1",2]}"#));
        assert_ne!(first, print("u", r#"{"a":[1,2]}"#));
    }

    #[test]
    fn a_digest_is_written_as_everybody_writes_it() {
        assert_eq!(hex(&[0x00, 0x09, 0x0a, 0x9f, 0xff]), "00090a9fff");
    }

    #[test]
    fn keys_of_different_places_never_meet() {
        let step = |tenant: &str, step| Slot::of_step(tenant, "i", step, 0, "t".into()).idempotency_key();
        assert_eq!(step("a", 1), step("a", 1));
        assert_ne!(step("a", 1), step("b", 1));
        assert_ne!(step("a", 1), step("a", 2));
        assert_ne!(Slot::of_key("a", "k").idempotency_key(), Slot::of_key("a", "l").idempotency_key());
    }
}
