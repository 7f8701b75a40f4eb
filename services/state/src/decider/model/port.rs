//! The model, as the port wants it.

use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt as _};
use tokio::sync::watch;

use super::Model;
use crate::{
    decider::{Answer, Decider},
    domain::{self, Address, Edition, Micros, Partition, Seq, ShardId, Vector},
    store::{Changes, ChangesQuery, FenceScope, HistoryQuery, Page, PageQuery},
    write::{Command, Holder, Written},
};

impl Decider for Model {
    fn get<'d>(&'d self, addresses: &'d [Address]) -> Answer<'d, Vec<Option<Arc<Edition>>>> {
        async move {
            let mut found = Vec::new();
            for address in addresses {
                self.there().await?;
                found.push(self.shared.data.lock().records.get(address).cloned());
            }
            Ok(found)
        }
        .boxed()
    }

    fn write<'d>(&'d self, command: &'d Command, holder: Option<&'d Holder>) -> Answer<'d, Written> {
        self.take(command, holder).boxed()
    }

    fn list(&self, query: PageQuery) -> Answer<'_, Page> {
        async move {
            self.there().await?;
            let data = self.shared.data.lock();
            let fits = |address: &Address| {
                query.partition.contains(address)
                    && address.key().starts_with(&query.prefix)
                    && address.key() > query.after.as_str()
            };
            let live = data.records.iter().filter(|(address, edition)| fits(address) && edition.is_live());
            let mut records: Vec<_> = live.map(|(address, edition)| (address.clone(), Arc::clone(edition))).collect();
            records.sort_by(|(a, _), (b, _)| a.key().cmp(b.key()));
            records.truncate(query.records);
            Ok(Page { records, more: false, flushes: 0 })
        }
        .boxed()
    }

    fn sync<'d>(&'d self, _: &'d Partition) -> Answer<'d, ()> {
        self.there().boxed()
    }

    fn history(&self, query: HistoryQuery) -> Answer<'_, Vec<Arc<Edition>>> {
        async move {
            self.there().await?;
            let data = self.shared.data.lock();
            let own = data.history.values().rev().filter(|(address, _)| *address == query.address);
            Ok(own.map(|(_, edition)| Arc::clone(edition)).collect())
        }
        .boxed()
    }

    fn edition_at<'d>(&'d self, address: &'d Address, vector: &'d Vector) -> Answer<'d, Option<Arc<Edition>>> {
        async move {
            self.there().await?;
            let data = self.shared.data.lock();
            let found = data.history.values().find(|(at, edition)| at == address && edition.vector == *vector);
            Ok(found.map(|(_, edition)| Arc::clone(edition)))
        }
        .boxed()
    }

    fn changes(&self, query: ChangesQuery) -> Answer<'_, Changes> {
        async move {
            self.there().await?;
            let data = self.shared.data.lock();
            let newest = data.newest();
            let Some(after) = query.after else {
                return Ok(Changes::Here { changes: Vec::new(), until: newest, more: false, flushes: 0 });
            };
            if after < data.cut {
                return Ok(Changes::Cut);
            }
            let rows: Vec<_> = data.history.range(after + 1..).take(query.rows).collect();
            let until = rows.last().map_or(after, |(seq, _)| **seq);
            let own = rows.iter().filter(|(_, (address, _))| query.partition.contains(address));
            let changes = own.map(|(_, (address, edition))| (address.clone(), Arc::clone(edition))).collect();
            Ok(Changes::Here { changes, until, more: until < newest, flushes: 0 })
        }
        .boxed()
    }

    fn news(&self, _: ShardId) -> watch::Receiver<Seq> {
        self.news.subscribe()
    }

    fn expired(&self, now: Micros, most: usize) -> Answer<'_, Vec<(Address, Vector)>> {
        async move {
            self.there().await?;
            let data = self.shared.data.lock();
            let due = data
                .records
                .iter()
                .filter(|(_, edition)| edition.is_live() && edition.expires.is_some_and(|expires| expires <= now));
            Ok(due.map(|(address, edition)| (address.clone(), edition.vector.clone())).take(most).collect())
        }
        .boxed()
    }

    fn register_fence<'d>(&'d self, holder: &'d Holder) -> Answer<'d, ()> {
        async move {
            self.there().await?;
            self.shared.data.lock().register(holder)
        }
        .boxed()
    }

    fn raise_fence<'d>(&'d self, scope: &'d FenceScope, number: u64) -> Answer<'d, ()> {
        async move {
            self.there().await?;
            let mut data = self.shared.data.lock();
            if let Some(raised) = domain::fence::raise(data.fences.get(scope), number) {
                data.fences.insert(scope.clone(), raised);
            }
            Ok(())
        }
        .boxed()
    }

    fn ended(&self) -> BoxFuture<'_, ()> {
        std::future::pending().boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }
}
