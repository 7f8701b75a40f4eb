//! Reading, as the port wants it.

use std::{sync::Arc, time::Instant};

use futures::future::BoxFuture;
use holdfast_storage::Failure;

use super::{
    Postgres,
    reader::{Ask, Found, TRIES, restless},
};
use crate::{
    domain::{Address, Edition, ShardId, Standing, fence::standing},
    failed::Failed,
    store::{Page, PageQuery},
    write::Holder,
};

impl Postgres {
    pub(super) async fn read_all(&self, addresses: &[Address]) -> Result<Vec<Option<Arc<Edition>>>, Failed> {
        let started = Instant::now();
        if addresses.is_empty() {
            return Ok(Vec::new());
        }
        let Found::Records(found) = self.reader.ask(Ask::Records(addresses.to_vec())).await? else {
            unreachable!("records are answered with records")
        };
        self.metrics.read(false, started.elapsed());
        Ok(found)
    }

    /// A page of a partition, with everything in it that was decided before.
    pub(super) async fn page(&self, query: PageQuery) -> Result<Page, Failed> {
        let started = Instant::now();
        let shard = query.partition.shard();
        let page = self.of_shelf(shard, |shelf| shelf.page(query.clone())).await?;
        self.metrics.listed(started.elapsed());
        Ok(page)
    }

    /// Whatever is acknowledged is stored, as long as this database decides.
    pub(super) async fn confirm(&self, shard: ShardId) -> Result<(), Failed> {
        self.reader.ask(Ask::Confirm(shard)).await.map(drop)
    }

    /// What is stored, if this database decided all the while that it was read: nothing else then was newer.
    pub(super) async fn of_shelf<'s, R: Send>(
        &'s self,
        shard: ShardId,
        read: impl Fn(&'s dyn crate::store::Shelf) -> BoxFuture<'s, Result<R, Failure>> + Send + Sync,
    ) -> Result<R, Failed> {
        for _ in 0..TRIES {
            let epoch = self.known.get().epoch;
            let found = self.reads.call(|| read(&self.store)).await?;
            // Who decides may have changed back since: an epoch comes only once.
            if matches!(self.reader.ask(Ask::Confirm(shard)).await?, Found::Confirmed(now) if now == epoch) {
                return Ok(found);
            }
        }
        Err(restless().into())
    }

    /// What a lease is to the fence that counts now.
    pub(super) async fn standing(&self, holder: &Holder) -> Result<Standing, Failed> {
        let Found::Fence(held, floor) = self.reader.ask(Ask::Fence(holder.scope.clone())).await? else {
            unreachable!("a fence is answered with a fence")
        };
        Ok(standing(held.as_ref(), floor, holder.number, &holder.lease))
    }
}

#[cfg(test)]
mod tests;
