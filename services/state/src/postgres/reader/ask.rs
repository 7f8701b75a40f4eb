//! What is asked together, and what everybody gets of the answer.

use std::sync::Arc;

use holdfast_storage::Trouble;
use sqlx::PgConnection;

use super::{Ask, Found};
use crate::{
    domain::{Address, Edition, EpochId, Fence, ShardId},
    store::{
        FenceScope,
        postgres::{deciding::Deciding, tables},
    },
};

impl Ask {
    /// About how much of a statement it is.
    pub(super) fn records(&self) -> usize {
        match self {
            Self::Records(addresses) => addresses.len(),
            Self::Fence(_) | Self::Confirm(_) => 1,
        }
    }
}

/// All that is asked.
#[derive(Debug, Default)]
pub(super) struct Heap {
    addresses: Vec<Address>,
    scopes: Vec<FenceScope>,
    shards: Vec<ShardId>,
}

/// All that is found.
#[derive(Debug)]
pub(super) struct Pile {
    editions: Vec<Option<Arc<Edition>>>,
    fences: Vec<Option<Fence>>,
    floor: u64,
    epoch: EpochId,
}

impl Heap {
    pub(super) fn of<'a>(asks: impl Iterator<Item = &'a Ask>) -> Self {
        let mut heap = Self::default();
        for ask in asks {
            match ask {
                Ask::Records(addresses) => heap.addresses.extend_from_slice(addresses),
                Ask::Fence(scope) => heap.scopes.push(scope.clone()),
                Ask::Confirm(shard) => heap.shards.push(*shard),
            }
        }
        heap.shards.sort_unstable();
        heap.shards.dedup();
        heap
    }

    /// Reads all of it; `None` where who decides is not as is known.
    pub(super) async fn read(&self, connection: &mut PgConnection, known: &Deciding) -> Result<Option<Pile>, Trouble> {
        let mut pile = Pile { editions: Vec::new(), fences: Vec::new(), floor: 0, epoch: known.epoch };
        if !self.addresses.is_empty() {
            match tables::load_if(connection, known, &self.addresses).await? {
                Some(found) => pile.editions = found.into_iter().map(|edition| edition.map(Arc::new)).collect(),
                None => return Ok(None),
            }
        }
        if !self.scopes.is_empty() {
            match tables::read_fences(connection, known, &self.scopes).await? {
                Some((fences, floor)) => (pile.fences, pile.floor) = (fences, floor),
                None => return Ok(None),
            }
        }
        if !self.shards.is_empty() {
            let rows = tables::read_shards(connection, &self.shards).await?;
            let holds =
                |row: &tables::ShardRow| row.same_server && row.epoch == known.epoch && row.who == known.who.decides();
            if rows.len() < self.shards.len() || !rows.iter().all(holds) {
                return Ok(None);
            }
        }
        Ok(Some(pile))
    }

    /// Everybody's part of it, in the order in which they asked.
    pub(super) fn deal<'a>(&self, found: Option<Pile>, asks: impl Iterator<Item = &'a Ask>) -> Vec<Found> {
        let Some(Pile { editions, fences, floor, epoch }) = found else {
            return asks.map(|_| Found::Elsewhere).collect();
        };
        let (mut editions, mut fences) = (editions.into_iter(), fences.into_iter());
        asks.map(|ask| match ask {
            Ask::Records(addresses) => Found::Records(editions.by_ref().take(addresses.len()).collect()),
            Ask::Fence(_) => Found::Fence(fences.next().flatten(), floor),
            Ask::Confirm(_) => Found::Confirmed(epoch),
        })
        .collect()
    }
}
