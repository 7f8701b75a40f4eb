//! What outlasts this process and is told to the others: what each of them has used of a budget, as records of the state
//! service. Each process writes its own, so that no write meets another's.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use bytes::Bytes;
use holdfast_proto::state::v1::{
    Address, Durability, ListRequest, Precondition, PutRequest, Record, Value, precondition::Precondition as Must,
    state_service_client::StateServiceClient,
};
use holdfast_rpc::{Channel, Error, client, deadline, id, time};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tonic::{Request, Status};

use super::{Account, Owner};
use crate::{
    domain::{Day, Kept},
    metrics,
};

const NAMESPACE: &str = "holdfast.llm";
/// Not in the tenants' own records, where their workers could write. No tenant's name may begin so.
const TENANT: &str = ".mesh";
/// A call waits no longer for what is kept.
const PATIENCE: Duration = Duration::from_secs(1);
/// Records of one budget in one answer, and answers: each is a life of a process.
const PAGE: u32 = 1_000;
const PAGES_MAX: usize = 20;
/// A day's records are of use until every clock has passed it.
const DAY_TTL: Duration = Duration::from_secs(2 * 24 * 3_600);
/// An invocation that asks no model for so long begins anew.
const INVOCATION_TTL: Duration = Duration::from_secs(7 * 24 * 3_600);

/// The way to the records.
#[derive(Debug)]
pub(crate) struct Keeper {
    client: StateServiceClient<Channel>,
    /// This life of this process.
    process: String,
    away: AtomicBool,
}

/// What is kept of one process.
#[derive(Debug, Serialize, Deserialize)]
struct Sum {
    tokens: u64,
}

impl Keeper {
    pub(super) fn new(state: Channel, process: String) -> Self {
        Self { client: StateServiceClient::new(state), process, away: AtomicBool::new(false) }
    }

    /// Asks what is kept, for the first time. Where that cannot be had, calls go on: a budget is not worth an outage.
    pub(super) async fn meet(&self, account: &Account) {
        if let Some((kept, _)) = self.said(self.read(&account.owner).await, "read") {
            account.budget.lock().heard(kept);
        }
    }

    /// Asks what is kept, and writes what is not: what is then kept of this process, where both could be done.
    pub(super) async fn exchange(&self, account: &Account) -> Option<u64> {
        let (kept, version) = self.said(self.read(&account.owner).await, "read")?;
        let (day, mine) = {
            let mut budget = account.budget.lock();
            let mine = budget.heard(kept);
            (budget.day(), mine)
        };
        let Some(tokens) = mine else { return Some(kept.own) };
        // A record of another day is another record.
        let version = version.filter(|_| kept.day == day);
        self.said(self.write(&account.owner, day, tokens, version).await, "write").map(|()| tokens)
    }

    /// All processes' sums of the last day, and the version of this one's.
    async fn read(&self, owner: &Owner) -> Result<(Kept, Option<Bytes>), Error> {
        let mut records = Vec::new();
        let mut page_token = String::new();
        for _ in 0..PAGES_MAX {
            let question = ListRequest {
                namespace: NAMESPACE.into(),
                partition: partition(owner),
                page_size: PAGE,
                page_token,
                ..Default::default()
            };
            let mut state = self.client.clone();
            let page = within(state.list(client::for_tenant(Request::new(question), TENANT)?)).await?;
            let page = page.into_inner();
            records.extend(page.records.iter().filter_map(|record| self.parse(record)));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        let kept = Kept::of(records.iter().map(|(day, version, tokens)| (*day, version.is_some(), *tokens)));
        let own = records.into_iter().find_map(|(day, version, _)| version.filter(|_| day == kept.day));
        Ok((kept, own))
    }

    async fn write(&self, owner: &Owner, day: Day, tokens: u64, version: Option<Bytes>) -> Result<(), Error> {
        let data = serde_json::to_vec(&Sum { tokens }).map_err(Error::internal)?.into();
        let ttl = if matches!(owner, Owner::Tenant(_)) { DAY_TTL } else { INVOCATION_TTL };
        let key = key(day, &self.process);
        let put = PutRequest {
            address: Some(Address { namespace: NAMESPACE.into(), partition: partition(owner), key }),
            value: Some(Value { data, content_type: String::new() }),
            // Not over what a late write of this process has made of it meanwhile: the next round reads that first.
            precondition: version.map(|version| Precondition { precondition: Some(Must::Version(version)) }),
            write_id: id::new(),
            durability: Durability::Durable.into(),
            ttl: Some(time::duration(ttl)),
            ..Default::default()
        };
        let mut state = self.client.clone();
        within(state.put(client::for_tenant(Request::new(put), TENANT)?)).await.map(drop).map_err(Error::from)
    }

    /// Its day, its version where it is this process's own, its tokens. What cannot be read is as good as absent: it comes
    /// of another version of this program.
    fn parse(&self, record: &Record) -> Option<(Day, Option<Bytes>, u64)> {
        let (day, process) = day_and_process(&record.address.as_ref()?.key)?;
        let sum: Sum = serde_json::from_slice(&record.value.as_ref()?.data).ok()?;
        Some((day, (process == self.process).then(|| record.version.clone()), sum.tokens))
    }

    fn said<T>(&self, answer: Result<T, Error>, what: &'static str) -> Option<T> {
        match answer {
            Ok(answer) => {
                if self.away.swap(false, Ordering::Relaxed) {
                    tracing::info!("budgets are kept again");
                }
                Some(answer)
            }
            Err(error) => {
                metrics::accounts::state_failed(what);
                if !self.away.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "budgets cannot be kept: calls go on by what this process knows of them");
                }
                None
            }
        }
    }
}

async fn within<T>(question: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    let own = Instant::now() + PATIENCE;
    let until = deadline::current().map_or(own, |deadline| deadline.min(own));
    tokio::time::timeout_at(until, deadline::scope(Some(until), question))
        .await
        .unwrap_or_else(|_| Err(Error::deadline().into()))
}

fn partition(owner: &Owner) -> String {
    match owner {
        Owner::Tenant(name) => format!("budget:{name}"),
        Owner::Invocation(id) => format!("invocation:{id}"),
    }
}

/// A day's date and the process; of an invocation only the process.
fn key(day: Day, process: &str) -> String {
    if day == Day::ALWAYS {
        return process.to_owned();
    }
    let midnight = time::timestamp(i64::from(day.number()) * 24 * 3_600 * 1_000_000).to_string();
    format!("{}/{process}", midnight.split('T').next().unwrap_or_default())
}

fn day_and_process(key: &str) -> Option<(Day, &str)> {
    let Some((date, process)) = key.split_once('/') else { return Some((Day::ALWAYS, key)) };
    let midnight: prost_types::Timestamp = format!("{date}T00:00:00Z").parse().ok()?;
    Some((Day::of(time::micros(&midnight)?), process))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_say_the_day_as_a_date() {
        let day = Day::of(1_795_262_400_000_000);
        assert_eq!(key(day, "p"), "2026-11-21/p");
        assert_eq!(day_and_process("2026-11-21/p"), Some((day, "p")));
        assert_eq!(key(Day::ALWAYS, "p"), "p");
        assert_eq!(day_and_process("p"), Some((Day::ALWAYS, "p")));
        assert_eq!(day_and_process("yesterday/p"), None);
    }
}
