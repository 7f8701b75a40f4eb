use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// The kinds of record.
pub const ORDERS: &str = "orders";
/// See [`ORDERS`].
pub const USERS: &str = "users";
/// See [`ORDERS`].
pub const PRODUCTS: &str = "products";

/// What a tool must see before it can answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// One record, by kind and id.
    Record(&'static str, String),
    /// Every record of a kind.
    All(&'static str),
}

/// What a tool sees of the records, and what it changes in them.
#[derive(Debug, Clone, Default)]
pub struct View {
    known: BTreeMap<(&'static str, String), Option<Value>>,
    whole: BTreeSet<&'static str>,
    changed: BTreeMap<(&'static str, String), Value>,
}

impl View {
    /// Learns a record as it stands, or that there is none.
    pub fn learn(&mut self, kind: &'static str, id: impl Into<String>, record: Option<Value>) {
        self.known.insert((kind, id.into()), record);
    }

    /// Learns that every record of a kind has been learned.
    pub fn learned_all(&mut self, kind: &'static str) {
        self.whole.insert(kind);
    }

    /// A record; None where there is none.
    ///
    /// # Errors
    /// Where that is not known.
    pub fn get(&self, kind: &'static str, id: &str) -> Result<Option<&Value>, Missing> {
        match self.known.get(&(kind, id.to_owned())) {
            Some(record) => Ok(record.as_ref()),
            None if self.whole.contains(kind) => Ok(None),
            None => Err(Missing::Record(kind, id.to_owned())),
        }
    }

    /// Every record of a kind, by id.
    ///
    /// # Errors
    /// Where not all are known.
    pub fn all(&self, kind: &'static str) -> Result<impl Iterator<Item = (&str, &Value)>, Missing> {
        if !self.whole.contains(kind) {
            return Err(Missing::All(kind));
        }
        let of_kind = self.known.iter().filter(move |((of, _), _)| *of == kind);
        Ok(of_kind.filter_map(|((_, id), record)| Some((id.as_str(), record.as_ref()?))))
    }

    /// Changes a record.
    pub fn put(&mut self, kind: &'static str, id: &str, record: Value) {
        self.changed.insert((kind, id.to_owned()), record.clone());
        self.learn(kind, id, Some(record));
    }

    /// What has been changed since the last time this was asked, by kind and id.
    pub fn take_changed(&mut self) -> BTreeMap<(&'static str, String), Value> {
        std::mem::take(&mut self.changed)
    }
}
