//! Reading: records as they stand, as they were, and as they stood a moment ago.

use std::time::Duration;

use holdfast_proto::state::v1 as pb;
use holdfast_rpc::time;

use crate::{
    Error,
    state::{Address, Edition, Record, State, Version},
};

/// Records that may be a little old.
#[derive(Debug, Clone)]
pub struct Seen<T> {
    /// What was read.
    pub found: T,
    /// How old it is at most; nothing where it is current.
    pub staleness: Duration,
}

/// Which records of a partition to list.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// The namespace.
    pub namespace: String,
    /// The partition.
    pub partition: String,
    /// Only keys that begin so.
    pub prefix: String,
    /// At most so many records; 0 takes the service's default of 100.
    pub page_size: u32,
    /// [`Page::next`] of the page before; empty at first.
    pub page_token: String,
}

/// Some of a partition's records, by key.
#[derive(Debug, Clone)]
pub struct Page {
    /// The records.
    pub records: Vec<Record>,
    /// Where the next page starts; empty at the end.
    pub next: String,
}

/// Some of a record's history, newest first.
#[derive(Debug, Clone)]
pub struct Editions {
    /// What its writes made of it.
    pub editions: Vec<Edition>,
    /// Where the next page starts; empty at the end.
    pub next: String,
}

impl State {
    /// One record, or `None` where there is none.
    ///
    /// # Errors
    /// What [`Error`] lists for reads: unavailable, past the deadline, denied.
    pub async fn get(&self, address: &Address) -> Result<Option<Record>, Error> {
        let request = pb::GetRequest { address: Some(address.into()), ..Default::default() };
        Ok(self.ask(request).await?.and_then(|answer| answer.record).map(Into::into))
    }

    /// One record as it was at a version; `None` where the history does not have it any more, or it was deleted then.
    ///
    /// # Errors
    /// As [`State::get`].
    pub async fn get_at(&self, address: &Address, version: &Version) -> Result<Option<Record>, Error> {
        let (address, at_version) = (Some(address.into()), version.0.clone());
        let request = pb::GetRequest { address, at_version, ..Default::default() };
        Ok(self.ask(request).await?.and_then(|answer| answer.record).map(Into::into))
    }

    /// One record as it stood at some moment of the last `staleness_max`: it may come from memory, also while the stores
    /// are away.
    ///
    /// # Errors
    /// As [`State::get`].
    pub async fn get_stale(&self, address: &Address, staleness_max: Duration) -> Result<Option<Seen<Record>>, Error> {
        let max_staleness = Some(time::duration(staleness_max));
        let request = pb::GetRequest { address: Some(address.into()), max_staleness, ..Default::default() };
        let Some(answer) = self.ask(request).await? else { return Ok(None) };
        let staleness = span(answer.staleness);
        Ok(answer.record.map(|record| Seen { found: record.into(), staleness }))
    }

    async fn ask(&self, request: pb::GetRequest) -> Result<Option<pb::GetResponse>, Error> {
        let answer = self
            .caller
            .call(self.limits(), || {
                let (request, mut client) = (request.clone(), self.client.clone());
                async move { client.get(request).await }
            })
            .await;
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Several records in one call; absent ones are left out.
    ///
    /// # Errors
    /// As [`State::get`].
    pub async fn batch_get(&self, addresses: &[Address]) -> Result<Vec<Record>, Error> {
        Ok(self.ask_all(addresses, None).await?.found)
    }

    /// Several records as [`State::get_stale`] reads one; the oldest of them says how old they are.
    ///
    /// # Errors
    /// As [`State::get`].
    pub async fn batch_get_stale(
        &self,
        addresses: &[Address],
        staleness_max: Duration,
    ) -> Result<Seen<Vec<Record>>, Error> {
        self.ask_all(addresses, Some(staleness_max)).await
    }

    async fn ask_all(
        &self,
        addresses: &[Address],
        staleness_max: Option<Duration>,
    ) -> Result<Seen<Vec<Record>>, Error> {
        let addresses = addresses.iter().map(Into::into).collect();
        let request = pb::BatchGetRequest { addresses, max_staleness: staleness_max.map(time::duration) };
        let answer = self
            .caller
            .call(self.limits(), || {
                let (request, mut client) = (request.clone(), self.client.clone());
                async move { client.batch_get(request).await }
            })
            .await?;
        let found = answer.records.into_iter().map(Into::into).collect();
        Ok(Seen { found, staleness: span(answer.staleness) })
    }

    /// A page of a partition's records, by key.
    ///
    /// # Errors
    /// As [`State::get`].
    pub async fn list(&self, listing: Listing) -> Result<Page, Error> {
        let request = pb::ListRequest {
            namespace: listing.namespace,
            partition: listing.partition,
            key_prefix: listing.prefix,
            page_size: listing.page_size,
            page_token: listing.page_token,
        };
        let answer = self
            .caller
            .call(self.limits(), || {
                let (request, mut client) = (request.clone(), self.client.clone());
                async move { client.list(request).await }
            })
            .await?;
        Ok(Page { records: answer.records.into_iter().map(Into::into).collect(), next: answer.next_page_token })
    }

    /// A page of a record's history, newest first, as far as it is kept. A size of 0 takes the service's default of 100; an
    /// empty token starts at the newest, [`Editions::next`] goes on.
    ///
    /// # Errors
    /// As [`State::get`].
    pub async fn history(&self, address: &Address, page_size: u32, page_token: &str) -> Result<Editions, Error> {
        let (address, page_token) = (Some(address.into()), page_token.to_owned());
        let request = pb::HistoryRequest { address, page_size, page_token };
        let answer = self
            .caller
            .call(self.limits(), || {
                let (request, mut client) = (request.clone(), self.client.clone());
                async move { client.history(request).await }
            })
            .await?;
        Ok(Editions { editions: answer.editions.into_iter().map(Into::into).collect(), next: answer.next_page_token })
    }
}

/// What is absent is current.
fn span(staleness: Option<prost_types::Duration>) -> Duration {
    staleness.as_ref().and_then(time::span).unwrap_or_default()
}
