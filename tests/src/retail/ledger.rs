use std::collections::BTreeMap;

use holdfast_proto::state::v1::batch_put_request::Write;
use holdfast_proto::state::v1::precondition::Precondition as Holds;
use holdfast_proto::state::v1::state_service_client::StateServiceClient;
use holdfast_proto::state::v1::{
    Address, BatchGetRequest, BatchPutRequest, ListRequest, Precondition, Record, Value as Content,
};
use serde_json::Value;
use tonic::Status;
use tonic::transport::Channel;

use super::view::{Missing, ORDERS, PRODUCTS, USERS, View};
use crate::patience::patiently;

/// The records from which every case starts. Nobody writes here once they are loaded.
pub const BASE: &str = "retail.base";
/// One partition for all that one action may change, since a batch is atomic within a partition.
pub const PARTITION: &str = "desk";
const ANSWERS: &str = "answers";

/// Where a case's changes stand.
pub fn namespace(case: &str) -> String {
    format!("retail.{case}")
}

/// The desk's records in the state service, reached as any outside client reaches them.
#[derive(Debug, Clone)]
pub struct Ledger {
    state: StateServiceClient<Channel>,
}

/// What has been learned of a case's own records: the versions that the next write must name.
#[derive(Debug, Default)]
pub struct Versions(BTreeMap<String, Vec<u8>>);

impl Ledger {
    /// A ledger over a connection to the gateway.
    pub const fn new(state: StateServiceClient<Channel>) -> Self {
        Self { state }
    }

    /// Writes the base records, which must not be there yet.
    ///
    /// # Errors
    /// As the state service refuses.
    pub async fn load<'a>(
        &self,
        records: impl Iterator<Item = (&'static str, &'a str, &'a Value)>,
    ) -> Result<(), Status> {
        let writes: Vec<_> = records.map(|(kind, id, record)| write(key(kind, id), record.to_string(), None)).collect();
        for (number, writes) in writes.chunks(100).enumerate() {
            self.put(BASE, writes.to_vec(), &format!("base {number}")).await?;
        }
        Ok(())
    }

    /// The answer that was given to a call, where it was given.
    ///
    /// # Errors
    /// As the state service refuses.
    pub async fn answer(&self, case: &str, call: &str) -> Result<Option<String>, Status> {
        let records = self.batch_get(vec![address(&namespace(case), key(ANSWERS, call))]).await?;
        Ok(records.into_iter().next().map(text))
    }

    /// Fetches what a view lacks: the base's record, and over it the case's own.
    ///
    /// # Errors
    /// As the state service refuses.
    pub async fn fetch(
        &self,
        case: &str,
        missing: Missing,
        view: &mut View,
        versions: &mut Versions,
    ) -> Result<(), Status> {
        let own = namespace(case);
        let (kind, found) = match missing {
            Missing::Record(kind, id) => {
                let wanted = [BASE, &own].map(|namespace| address(namespace, key(kind, &id)));
                view.learn(kind, id, None);
                (kind, self.batch_get(wanted.into()).await?)
            }
            Missing::All(kind) => {
                view.learned_all(kind);
                let mut found = self.list(BASE, &key(kind, "")).await?;
                found.extend(self.list(&own, &key(kind, "")).await?);
                (kind, found)
            }
        };
        for record in found {
            let (key, own) = (record_key(&record), record.address.as_ref().is_some_and(|at| at.namespace == own));
            if own {
                versions.0.insert(key.clone(), record.version.to_vec());
            }
            let id = key.trim_start_matches(kind).trim_start_matches('/');
            let value = serde_json::from_str(&text(record)).map_err(|error| Status::internal(error.to_string()))?;
            view.learn(kind, id, Some(value));
        }
        Ok(())
    }

    /// Writes what a call changed together with its answer, all or nothing. ABORTED where a record has moved on since it
    /// was fetched, or where the call has been answered in the meantime.
    ///
    /// # Errors
    /// As the state service refuses.
    pub async fn settle(
        &self,
        case: &str,
        call: &str,
        answer: &str,
        view: &mut View,
        versions: &Versions,
    ) -> Result<(), Status> {
        let mut writes = vec![write(key(ANSWERS, call), answer.to_owned(), None)];
        for ((kind, id), record) in view.take_changed() {
            let key = key(kind, &id);
            let version = versions.0.get(&key).cloned();
            writes.push(write(key, record.to_string(), version));
        }
        self.put(&namespace(case), writes, call).await
    }

    /// Every record of a case's namespace.
    ///
    /// # Errors
    /// As the state service refuses.
    pub async fn all(&self, case: &str) -> Result<Vec<Record>, Status> {
        self.list(&namespace(case), "").await
    }

    async fn put(&self, namespace: &str, writes: Vec<Write>, call: &str) -> Result<(), Status> {
        let request = BatchPutRequest {
            namespace: namespace.into(),
            partition: PARTITION.into(),
            writes,
            write_id: write_id(namespace, call),
            ..Default::default()
        };
        patiently(request, |request| {
            let mut state = self.state.clone();
            async move { state.batch_put(request).await }
        })
        .await
        .map(drop)
    }

    async fn batch_get(&self, addresses: Vec<Address>) -> Result<Vec<Record>, Status> {
        let answer = patiently(BatchGetRequest { addresses, ..Default::default() }, |request| {
            let mut state = self.state.clone();
            async move { state.batch_get(request).await }
        });
        Ok(answer.await?.records)
    }

    async fn list(&self, namespace: &str, prefix: &str) -> Result<Vec<Record>, Status> {
        let mut records = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = ListRequest {
                namespace: namespace.into(),
                partition: PARTITION.into(),
                key_prefix: prefix.into(),
                page_size: 1_000,
                page_token,
            };
            let page = patiently(request, |request| {
                let mut state = self.state.clone();
                async move { state.list(request).await }
            });
            let page = page.await?;
            records.extend(page.records);
            if page.next_page_token.is_empty() {
                return Ok(records);
            }
            page_token = page.next_page_token;
        }
    }
}

/// The kind and the id of a record of a case, None for a recorded answer.
pub fn kind_and_id(record: &Record) -> Option<(&'static str, String)> {
    let key = record_key(record);
    let (kind, id) = key.split_once('/')?;
    let kind = [ORDERS, USERS, PRODUCTS].into_iter().find(|known| *known == kind)?;
    Some((kind, id.to_owned()))
}

/// The content of a record.
pub fn text(record: Record) -> String {
    let bytes = record.value.map(|value| value.data).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn record_key(record: &Record) -> String {
    record.address.as_ref().map(|address| address.key.clone()).unwrap_or_default()
}

fn key(kind: &str, id: &str) -> String {
    format!("{kind}/{id}")
}

fn address(namespace: &str, key: String) -> Address {
    Address { namespace: namespace.into(), partition: PARTITION.into(), key }
}

fn write(key: String, json: String, version: Option<Vec<u8>>) -> Write {
    let precondition = version.map(|version| Precondition { precondition: Some(Holds::Version(version.into())) });
    Write {
        key,
        precondition,
        value: Some(Content { data: json.into_bytes().into(), content_type: String::new() }),
        ttl: None,
    }
}

/// The same call has the same write id, wherever it is repeated (FNV-1a over namespace and call).
fn write_id(namespace: &str, call: &str) -> String {
    let bytes = namespace.bytes().chain([0]).chain(call.bytes());
    let hash = bytes.fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0100_0000_0000_0000_0000_013b)
    });
    uuid::Uuid::from_u128(hash).to_string()
}
