//! Ids: UUIDv7, so that they sort by the time of their making.

use uuid::Uuid;

/// A new id.
pub fn new() -> String {
    Uuid::now_v7().to_string()
}

/// Whether a text is an id: callers are told before anything is looked up.
pub fn is_valid(text: &str) -> bool {
    Uuid::try_parse(text).is_ok()
}
