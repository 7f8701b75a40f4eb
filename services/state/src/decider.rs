//! The port to a place that decides: what it promises, wherever decisions are made.
//!
//! There are three. `embedded` decides in the memory of one process, over files. `postgres` decides in the database, for any
//! number of processes. `redis` decides in a Redis that processes share, in front of that database, and hands over to
//! `postgres` while it is gone. All of them pass one list of checks (`tests/api`), and everything above them (locks, watches,
//! reads that may be stale, expiry) is built on this port alone.

#[cfg(test)]
pub(crate) mod model;

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::watch;

use crate::{
    domain::{Address, Edition, Micros, Partition, Seq, ShardId, Vector},
    failed::Failed,
    store::{Changes, ChangesQuery, FenceScope, HistoryQuery, Page, PageQuery},
    write::{Command, Holder, Written},
};

/// What a use case of a decider comes to.
pub type Answer<'d, T> = BoxFuture<'d, Result<T, Failed>>;

/// Where writes are decided. Dropping it without [`Self::close`] is a crash: what is not stored is gone.
pub trait Decider: Send + Sync + 'static {
    /// The records as they stand, tombstones included; `None` where nothing is known of one. Linearizable.
    fn get<'d>(&'d self, addresses: &'d [Address]) -> Answer<'d, Vec<Option<Arc<Edition>>>>;

    /// Takes a command, or says why not. A lease that comes with it must hold its scope's fence; a newer one is
    /// registered first.
    fn write<'d>(&'d self, command: &'d Command, holder: Option<&'d Holder>) -> Answer<'d, Written>;

    /// A page of a partition, with everything in it that was decided before.
    fn list(&self, query: PageQuery) -> Answer<'_, Page>;

    /// Returns once everything that is decided about a partition is stored.
    fn sync<'d>(&'d self, partition: &'d Partition) -> Answer<'d, ()>;

    /// A record's history, with everything that was decided about it before.
    fn history(&self, query: HistoryQuery) -> Answer<'_, Vec<Arc<Edition>>>;

    /// The edition that a version names, as far as the history is kept.
    fn edition_at<'d>(&'d self, address: &'d Address, vector: &'d Vector) -> Answer<'d, Option<Arc<Edition>>>;

    /// What changed in a partition; stored and visible changes only, each once, in their order.
    fn changes(&self, query: ChangesQuery) -> Answer<'_, Changes>;

    /// Rises whenever a shard may have new [`Self::changes`]. Another process's may be noticed a little later.
    fn news(&self, shard: ShardId) -> watch::Receiver<Seq>;

    /// Live records whose time is over.
    fn expired(&self, now: Micros, most: usize) -> Answer<'_, Vec<(Address, Vector)>>;

    /// Makes a lease's fence the one that counts in its scope, durably.
    fn register_fence<'d>(&'d self, holder: &'d Holder) -> Answer<'d, ()>;

    /// Ends every lease of a scope up to a fence, durably.
    fn raise_fence<'d>(&'d self, scope: &'d FenceScope, number: u64) -> Answer<'d, ()>;

    /// Ends when it cannot go on: after a fault of ours, or [`Self::close`].
    fn ended(&self) -> BoxFuture<'_, ()>;

    /// Stores everything. No call may be under way.
    fn close(&self) -> BoxFuture<'_, ()>;
}
