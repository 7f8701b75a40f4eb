//! The place of decision in the database, as the port wants it.

use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt as _};
use tokio::sync::watch;

use super::Postgres;
use crate::{
    decider::{Answer, Decider},
    domain::{Address, Edition, Micros, Partition, Seq, ShardId, Vector},
    store::{Changes, ChangesQuery, FenceScope, HistoryQuery, Page, PageQuery, Shelf as _},
    write::{Command, Holder, Written},
};

impl Decider for Postgres {
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
        self.confirm(partition.shard()).boxed()
    }

    fn history(&self, query: HistoryQuery) -> Answer<'_, Vec<Arc<Edition>>> {
        async move {
            let editions = self.of_shelf(query.address.shard(), |shelf| shelf.history(query.clone())).await?;
            Ok(editions.into_iter().map(Arc::new).collect())
        }
        .boxed()
    }

    fn edition_at<'d>(&'d self, address: &'d Address, vector: &'d Vector) -> Answer<'d, Option<Arc<Edition>>> {
        async move {
            let (of, at) = (address.clone(), vector.clone());
            Ok(self.of_shelf(address.shard(), |shelf| shelf.edition_at(of.clone(), at.clone())).await?.map(Arc::new))
        }
        .boxed()
    }

    fn changes(&self, query: ChangesQuery) -> Answer<'_, Changes> {
        self.of_shelf(query.partition.shard(), move |shelf| shelf.changes(query.clone())).boxed()
    }

    fn news(&self, shard: ShardId) -> watch::Receiver<Seq> {
        self.news.of(shard)
    }

    fn expired(&self, now: Micros, most: usize) -> Answer<'_, Vec<(Address, Vector)>> {
        async move { Ok(self.reads.call(|| self.store.expired(now, most)).await?) }.boxed()
    }

    fn register_fence<'d>(&'d self, holder: &'d Holder) -> Answer<'d, ()> {
        self.settle_registration(holder).boxed()
    }

    fn raise_fence<'d>(&'d self, scope: &'d FenceScope, number: u64) -> Answer<'d, ()> {
        self.settle_raise(scope, number).boxed()
    }

    /// By [`Decider::close`] only: a lane whose thread has ended refuses what it is asked.
    fn ended(&self) -> BoxFuture<'_, ()> {
        self.end.cancelled().boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.finish().boxed()
    }
}
