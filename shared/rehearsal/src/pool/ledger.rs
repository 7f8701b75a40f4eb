//! What a shared record holds: the updates that were made to it.

use std::collections::BTreeSet;

use holdfast_rpc::id;
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

/// Where the records of one run stand. Updates are numbered anew in each run, so each has records of its own: in those of a
/// run before it, on the same mesh, every update would be found, whether it was lost or not.
#[derive(Debug, Clone)]
pub(crate) struct Accounts {
    namespace: String,
    run: String,
}

impl Accounts {
    /// Those of a run that begins now.
    pub(crate) fn of_a_new_run(namespace: &str) -> Self {
        Self { namespace: namespace.to_owned(), run: id::new() }
    }

    /// Where a record stands.
    pub(crate) fn address(&self, number: u64) -> Address {
        Address::new(&self.namespace, format!("{}-account-{number}", self.run), "ledger")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_records_of_its_own_on_whatever_mesh() {
        let (one, other) = (Accounts::of_a_new_run("accounts"), Accounts::of_a_new_run("accounts"));
        let keys: BTreeSet<_> =
            [&one, &other].iter().flat_map(|run| [0, 1].map(|number| format!("{:?}", run.address(number)))).collect();
        assert_eq!(keys.len(), 4, "two runs have no record in common");
        assert_eq!(one.address(1), one.address(1));
    }

    #[test]
    fn an_update_is_kept_once_beside_the_others() {
        let json = Ledger::read(Some(json!({"updates": [3, 1]}))).with(3);
        assert_eq!(json, json!({"updates": [1, 3]}));
        let ledger = Ledger::read(Some(json));
        assert!(ledger.has(1) && !ledger.has(2));
        assert_eq!(Ledger::read(None).with(5), json!({"updates": [5]}));
    }
}
