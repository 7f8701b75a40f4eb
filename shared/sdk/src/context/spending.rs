//! Model tokens of an invocation, over all attempts: none twice, and none forgotten that was recorded.

use std::{collections::HashSet, time::Duration};

use holdfast_proto::queue::v1::{FailRequest, queue_service_client::QueueServiceClient};
use serde::Deserialize;

use super::{Context, step};
use crate::{
    Error, Failure, Usage,
    state::{Address, Durability, Listing, Precondition, Value, Write},
};

/// An attempt's end waits no longer to record what it used.
const PATIENCE: Duration = Duration::from_secs(1);
/// By a caller, or by its deadline.
const ENDED_FROM_OUTSIDE: [&str; 2] = ["CANCELLED", "DEADLINE_PASSED"];
/// What an attempt used and no step recorded stands among the steps, under its fence.
const UNRECORDED: &str = "~unrecorded.";

/// What is known in one attempt.
#[derive(Debug, Default)]
pub(crate) struct Spending {
    total: Usage,
    /// Of this attempt, and in no record yet: the next step's record takes it along, whoever used it.
    unrecorded: Usage,
    /// Steps whose records are counted.
    counted: HashSet<String>,
}

/// The part of any record of the invocation that is of interest here.
#[derive(Deserialize)]
struct Used {
    #[serde(default)]
    usage: Usage,
}

impl Spending {
    pub(super) fn total(&self) -> Usage {
        self.total
    }

    pub(super) fn count(&mut self, usage: Usage) {
        self.total += usage;
        self.unrecorded += usage;
    }

    /// A record was read. Its usage counts unless it has been counted.
    pub(super) fn recall(&mut self, step: &str, usage: Usage) {
        if self.counted.insert(step.to_owned()) {
            self.total += usage;
        }
    }

    /// What a step's record takes along; nothing where there is one already, or on its way.
    pub(super) fn record(&mut self, step: &str) -> Option<Usage> {
        self.counted.insert(step.to_owned()).then(|| std::mem::take(&mut self.unrecorded))
    }

    /// It did not become a record.
    pub(super) fn take_back(&mut self, usage: Usage) {
        self.unrecorded += usage;
    }
}

impl Context {
    /// Counts model tokens.
    pub(super) fn count(&self, usage: Usage) {
        self.0.spending.lock().count(usage);
    }

    /// What earlier attempts recorded, whichever steps this one will ask for. The first holder has nothing to look for.
    pub(crate) async fn recall_usage(&self) -> Result<(), Error> {
        if !self.0.held.has_predecessors {
            return Ok(());
        }
        let (namespace, partition) = (step::NAMESPACE.to_owned(), self.id().to_owned());
        let mut listing = Listing { namespace, partition, ..Listing::default() };
        loop {
            let page = self.state().list(listing.clone()).await?;
            for record in &page.records {
                if let Ok(Used { usage }) = record.json() {
                    self.0.spending.lock().recall(&record.address.key, usage);
                }
            }
            if page.next.is_empty() {
                return Ok(());
            }
            listing.page_token = page.next;
        }
    }

    /// What this attempt used and no step recorded, for the next one: this one has failed or is handed back.
    pub(crate) async fn record_usage(&self) {
        let usage = std::mem::take(&mut self.0.spending.lock().unrecorded);
        if usage == Usage::default() {
            return;
        }
        let recorded = async {
            let key = format!("{UNRECORDED}{:020}", self.0.held.fence);
            let write_id = self.write_id(&key);
            let value = Value::json(&serde_json::json!({ "usage": usage }))?;
            let address = Address::new(step::NAMESPACE, self.id(), key);
            let write = Write::new(address, value, Precondition::Absent).with_id(write_id);
            self.state().write(write.with_durability(Durability::Durable)).await.map(drop)
        };
        match tokio::time::timeout(PATIENCE, recorded).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, ?usage, "what this attempt used is not recorded"),
            Err(_) => tracing::warn!(?usage, "what this attempt used may not be recorded"),
        }
    }

    /// The invocation was ended from outside while this attempt was at it: its record shall say what it used all the same.
    /// The queue refuses this report, and keeps its usage.
    pub(crate) async fn tell_usage(&self) {
        let (reason, usage) = (self.0.held.gone().await, self.usage());
        if usage == Usage::default() || !ENDED_FROM_OUTSIDE.contains(&&*reason) {
            return;
        }
        let failure = Some(Failure::fatal(reason, "ended from outside").into());
        let late = FailRequest { token: self.0.held.token.clone(), failure, usage: Some(usage.into()) };
        let mut queue = QueueServiceClient::new(self.0.links.queue.clone());
        if tokio::time::timeout(PATIENCE, queue.fail(late)).await.is_err() {
            tracing::debug!(?usage, "what this attempt used may not be in the invocation's record");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(tokens: u64) -> Usage {
        Usage { input_tokens: tokens, output_tokens: 0 }
    }

    #[test]
    fn a_record_counts_once_however_often_it_is_read() {
        let mut spending = Spending::default();
        spending.recall("1", usage(5));
        spending.recall("1", usage(5));
        assert_eq!(spending.total(), usage(5));
        spending.count(usage(2));
        assert_eq!(spending.record("2"), Some(usage(2)));
        spending.recall("2", usage(2));
        assert_eq!(spending.total(), usage(7), "what this attempt recorded is counted already");
    }

    #[test]
    fn every_token_gets_into_one_record() {
        let mut spending = Spending::default();
        spending.count(usage(1));
        spending.count(usage(2));
        let first = spending.record("1").expect("it is new");
        spending.count(usage(4));
        spending.take_back(first);
        assert_eq!(spending.record("1"), None, "a record has one writer");
        assert_eq!(spending.record("2"), Some(usage(7)), "also what a failed write did not record");
        assert_eq!(spending.record("3"), Some(usage(0)));
        assert_eq!(spending.total(), usage(7));
    }
}
