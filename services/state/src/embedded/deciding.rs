//! The place of decision in memory, as the port wants it.

use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt as _};
use tokio::sync::watch;

use super::Embedded;
use crate::{
    decider::{Answer, Decider},
    domain::{Address, Edition, Micros, Partition, Seq, ShardId, Vector},
    store::{Changes, ChangesQuery, FenceScope, HistoryQuery, Page, PageQuery},
    write::{Command, Holder, Written},
};

impl Decider for Embedded {
    fn get<'d>(&'d self, addresses: &'d [Address]) -> Answer<'d, Vec<Option<Arc<Edition>>>> {
        self.read_all(addresses).boxed()
    }

    fn write<'d>(&'d self, command: &'d Command, holder: Option<&'d Holder>) -> Answer<'d, Written> {
        self.take(command, holder).boxed()
    }

    fn list(&self, query: PageQuery) -> Answer<'_, Page> {
        self.page(query).boxed()
    }

    fn sync<'d>(&'d self, partition: &'d Partition) -> Answer<'d, ()> {
        self.barrier(partition).boxed()
    }

    fn history(&self, query: HistoryQuery) -> Answer<'_, Vec<Arc<Edition>>> {
        async move {
            self.barrier(&query.address.in_partition()).await?;
            let editions = self.shelf.history(query).await?;
            Ok(editions.into_iter().map(Arc::new).collect())
        }
        .boxed()
    }

    fn edition_at<'d>(&'d self, address: &'d Address, vector: &'d Vector) -> Answer<'d, Option<Arc<Edition>>> {
        async move {
            self.barrier(&address.in_partition()).await?;
            Ok(self.shelf.edition_at(address.clone(), vector.clone()).await?.map(Arc::new))
        }
        .boxed()
    }

    fn changes(&self, query: ChangesQuery) -> Answer<'_, Changes> {
        async move {
            let changes = self.shelf.changes(query).await?;
            if let Changes::Here { flushes, .. } = changes {
                self.until_released(flushes).await?;
            }
            Ok(changes)
        }
        .boxed()
    }

    fn news(&self, _shard: ShardId) -> watch::Receiver<Seq> {
        self.released.clone()
    }

    fn expired(&self, now: Micros, most: usize) -> Answer<'_, Vec<(Address, Vector)>> {
        async move { Ok(self.shelf.expired(now, most).await?) }.boxed()
    }

    fn register_fence<'d>(&'d self, holder: &'d Holder) -> Answer<'d, ()> {
        self.settle_registration(holder).boxed()
    }

    fn raise_fence<'d>(&'d self, scope: &'d FenceScope, number: u64) -> Answer<'d, ()> {
        self.settle_raise(scope, number).boxed()
    }

    /// By [`Decider::close`], or by a fault of ours, after which nothing is stored any more.
    fn ended(&self) -> BoxFuture<'_, ()> {
        async move {
            let mut released = self.released.clone();
            while released.changed().await.is_ok() {}
        }
        .boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.end().boxed()
    }
}
