//! Reading, as the port wants it.

use std::{sync::Arc, time::Instant};

use futures::future::BoxFuture;
use holdfast_storage::Failure;

use super::{
    Postgres,
    reader::{Ask, Found},
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
        let page = self.of_shelf(shard, |shelf| shelf.page(query)).await?;
        self.metrics.listed(started.elapsed());
        Ok(page)
    }

    /// Whatever is acknowledged is stored, as long as this database decides.
    pub(super) async fn confirm(&self, shard: ShardId) -> Result<(), Failed> {
        self.reader.ask(Ask::Confirm(shard)).await.map(drop)
    }

    /// What is stored, if this database still decides when it is read: nothing else then can be newer.
    pub(super) async fn of_shelf<'s, R: Send>(
        &'s self,
        shard: ShardId,
        read: impl FnOnce(&'s dyn crate::store::Shelf) -> BoxFuture<'s, Result<R, Failure>> + Send,
    ) -> Result<R, Failed> {
        let found = self.reads.call(|| read(&self.store)).await?;
        self.confirm(shard).await?;
        Ok(found)
    }

    /// What a lease is to the fence that counts now.
    pub(super) async fn standing(&self, holder: &Holder) -> Result<Standing, Failed> {
        let Found::Fence(held, floor) = self.reader.ask(Ask::Fence(holder.scope.clone())).await? else {
            unreachable!("a fence is answered with a fence")
        };
        Ok(standing(held.as_ref(), floor, holder.number, &holder.lease))
    }
}
