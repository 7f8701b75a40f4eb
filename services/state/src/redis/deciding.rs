//! This place of decision, as the port wants it.

use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt as _};
use tokio::sync::watch;

use super::Redis;
use crate::{
    decider::{Answer, Decider},
    domain::{Address, Edition, Micros, Partition, Seq, ShardId, Vector},
    store::{Changes, ChangesQuery, FenceScope, HistoryQuery, Page, PageQuery},
    write::{Command, Holder, Written},
};

impl Decider for Redis {
    fn get<'d>(&'d self, addresses: &'d [Address]) -> Answer<'d, Vec<Option<Arc<Edition>>>> {
        self.engine.get(addresses).boxed()
    }

    fn write<'d>(&'d self, command: &'d Command, holder: Option<&'d Holder>) -> Answer<'d, Written> {
        self.engine.write(command, holder).boxed()
    }

    fn list(&self, query: PageQuery) -> Answer<'_, Page> {
        self.engine.page(query).boxed()
    }

    fn sync<'d>(&'d self, partition: &'d Partition) -> Answer<'d, ()> {
        self.engine.sync(partition).boxed()
    }

    fn history(&self, query: HistoryQuery) -> Answer<'_, Vec<Arc<Edition>>> {
        self.engine.history(query).boxed()
    }

    fn edition_at<'d>(&'d self, address: &'d Address, vector: &'d Vector) -> Answer<'d, Option<Arc<Edition>>> {
        self.engine.edition_at(address, vector).boxed()
    }

    fn changes(&self, query: ChangesQuery) -> Answer<'_, Changes> {
        self.engine.changes(query).boxed()
    }

    fn news(&self, shard: ShardId) -> watch::Receiver<Seq> {
        self.engine.desk(shard).news()
    }

    fn expired(&self, now: Micros, most: usize) -> Answer<'_, Vec<(Address, Vector)>> {
        async move { Ok(self.engine.shelf.expired(now, most).await?) }.boxed()
    }

    fn register_fence<'d>(&'d self, holder: &'d Holder) -> Answer<'d, ()> {
        self.engine.register(holder).boxed()
    }

    fn raise_fence<'d>(&'d self, scope: &'d FenceScope, number: u64) -> Answer<'d, ()> {
        self.engine.raise(scope, number).boxed()
    }

    fn ended(&self) -> BoxFuture<'_, ()> {
        self.end().boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.drain().boxed()
    }
}
