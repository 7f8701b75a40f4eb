//! What a shared record holds: the updates that were made to it.

use std::collections::BTreeSet;

use holdfast_sdk::Json;
use holdfast_sdk::state::{Address, Record};
use serde_json::json;

/// The updates of one record, by the numbers of the invocations that made them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ledger(BTreeSet<u64>);

impl Ledger {
    /// As a record has it; what is not there holds nothing.
    pub(crate) fn of(record: Option<&Record>) -> Self {
        Self::read(record.and_then(|record| record.json().ok()))
    }

    /// As JSON has it.
    pub(crate) fn read(json: Option<Json>) -> Self {
        let updates = json.as_ref().and_then(|json| json.get("updates")).and_then(Json::as_array);
        Self(updates.into_iter().flatten().filter_map(Json::as_u64).collect())
    }

    /// The same with one update more.
    pub(crate) fn with(mut self, update: u64) -> Json {
        self.0.insert(update);
        json!({ "updates": self.0 })
    }

    /// Whether an update is in it.
    pub(crate) fn has(&self, update: u64) -> bool {
        self.0.contains(&update)
    }
}

/// Where a record stands.
pub(crate) fn account(namespace: &str, number: u64) -> Address {
    Address::new(namespace, format!("account-{number}"), "ledger")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_is_kept_once_beside_the_others() {
        let json = Ledger::read(Some(json!({"updates": [3, 1]}))).with(3);
        assert_eq!(json, json!({"updates": [1, 3]}));
        let ledger = Ledger::read(Some(json));
        assert!(ledger.has(1) && !ledger.has(2));
        assert_eq!(Ledger::read(None).with(5), json!({"updates": [5]}));
    }
}
