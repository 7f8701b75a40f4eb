//! What the store answers for the place: pages, histories, changes. Before, everything decided about the partition goes to
//! the store; after, what it showed becomes visible to all readers.

use std::{sync::Arc, time::Instant};

use futures::future::FutureExt as _;

use super::{
    archive::Deciding,
    engine::{Engine, Halt},
};
use crate::{
    domain::{Address, Edition, Partition, Seq, Vector},
    failed::Failed,
    store::{Changes, ChangesQuery, HistoryQuery, Page, PageQuery},
};

impl Engine {
    pub(super) async fn page(self: &Arc<Self>, query: PageQuery) -> Result<Page, Failed> {
        let started = Instant::now();
        let query = &query;
        let in_place = |deciding: Arc<Deciding>| {
            async move {
                let (epoch, shard) = (deciding.epoch, query.partition.shard());
                self.barrier(epoch, shard).await?;
                let page = self.shelf.page(query.clone()).await?;
                // What is missing on it shows as much, up to the shard's place: somebody may have deleted it.
                self.shown(epoch, shard, page.flushes).await?;
                Ok::<_, Halt>(page)
            }
            .boxed()
        };
        let page = self.settle(in_place, || self.store.list(query.clone())).await;
        self.tally.calls.listed(started.elapsed());
        page
    }

    pub(super) async fn sync(self: &Arc<Self>, partition: &Partition) -> Result<(), Failed> {
        let in_place =
            |deciding: Arc<Deciding>| async move { self.barrier(deciding.epoch, partition.shard()).await }.boxed();
        self.settle(in_place, || self.store.sync(partition)).await
    }

    pub(super) async fn history(self: &Arc<Self>, query: HistoryQuery) -> Result<Vec<Arc<Edition>>, Failed> {
        let query = &query;
        let in_place = |deciding: Arc<Deciding>| {
            async move {
                let (epoch, shard) = (deciding.epoch, query.address.shard());
                self.barrier(epoch, shard).await?;
                let editions = self.shelf.history(query.clone()).await?;
                self.shown(epoch, shard, newest(&editions)).await?;
                Ok::<_, Halt>(editions.into_iter().map(Arc::new).collect())
            }
            .boxed()
        };
        self.settle(in_place, || self.store.history(query.clone())).await
    }

    pub(super) async fn edition_at(
        self: &Arc<Self>,
        address: &Address,
        vector: &Vector,
    ) -> Result<Option<Arc<Edition>>, Failed> {
        let in_place = |deciding: Arc<Deciding>| {
            async move {
                let (epoch, shard) = (deciding.epoch, address.shard());
                self.barrier(epoch, shard).await?;
                let edition = self.shelf.edition_at(address.clone(), vector.clone()).await?;
                self.shown(epoch, shard, newest(&edition)).await?;
                Ok::<_, Halt>(edition.map(Arc::new))
            }
            .boxed()
        };
        self.settle(in_place, || self.store.edition_at(address, vector)).await
    }

    pub(super) async fn changes(self: &Arc<Self>, query: ChangesQuery) -> Result<Changes, Failed> {
        let query = &query;
        let in_place = |deciding: Arc<Deciding>| {
            async move {
                let (epoch, shard) = (deciding.epoch, query.partition.shard());
                let changes = self.shelf.changes(query.clone()).await?;
                if let Changes::Here { until, flushes, .. } = &changes {
                    // Who goes on from there is shown nothing that is older, so all before it is shown to everybody now.
                    self.shown(epoch, shard, *until.min(flushes)).await?;
                }
                Ok::<_, Halt>(changes)
            }
            .boxed()
        };
        self.settle(in_place, || self.store.changes(query.clone())).await
    }
}

fn newest<'e>(shown: impl IntoIterator<Item = &'e Edition>) -> Seq {
    shown.into_iter().map(|edition| edition.seq).max().unwrap_or_default()
}
