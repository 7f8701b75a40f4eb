//! Reading: the cache first, the store on a miss.

use std::{sync::Arc, time::Instant};

use super::{Embedded, writes::settled};
use crate::failed::Failed;
use crate::{
    domain::{Address, Edition, Partition},
    embedded::shard::{Filled, Look, Shard, Ticket},
    store::{Page, PageQuery, Step},
};

/// Records that are kept in the cache together while a call needs them.
pub(super) struct Pins<'s> {
    shard: &'s Arc<Shard>,
    addresses: Vec<Address>,
}

impl<'s> Pins<'s> {
    pub(super) fn none(shard: &'s Arc<Shard>) -> Self {
        Self { shard, addresses: Vec::new() }
    }

    pub(super) fn extend(&mut self, mut other: Self) {
        self.addresses.append(&mut other.addresses);
    }
}

impl Drop for Pins<'_> {
    fn drop(&mut self) {
        if !self.addresses.is_empty() {
            self.shard.unpin(&self.addresses);
        }
    }
}

impl Embedded {
    /// Records as they stand; what is not in the cache is read together.
    pub(super) async fn read_all(&self, addresses: &[Address]) -> Result<Vec<Option<Arc<Edition>>>, Failed> {
        let started = Instant::now();
        let mut found = vec![None; addresses.len()];
        let (mut waits, mut missing) = (Vec::new(), Vec::new());
        for (place, address) in addresses.iter().enumerate() {
            match self.shard_of(address).look(address) {
                Look::Here(edition) => found[place] = edition,
                Look::Filling(filled) => waits.push((place, filled)),
                Look::Fill(ticket, filled) => {
                    missing.push((address.clone(), ticket));
                    waits.push((place, filled));
                }
            }
        }
        let from_cache = waits.is_empty();
        self.fill(missing);
        for (place, filled) in waits {
            found[place] = read(filled).await?;
        }
        self.decks.metrics.read(from_cache, started.elapsed());
        Ok(found)
    }

    /// A page of a partition, with everything in it that was decided before.
    pub(super) async fn page(&self, query: PageQuery) -> Result<Page, Failed> {
        let started = Instant::now();
        self.barrier(&query.partition).await?;
        let page = self.shelf.page(query).await?;
        self.until_released(page.flushes).await?;
        self.decks.metrics.listed(started.elapsed());
        Ok(page)
    }

    /// Waits until everything that is decided about a partition is stored.
    pub(super) async fn barrier(&self, partition: &Partition) -> Result<(), Failed> {
        let shard = &self.decks.shards[partition.shard().index()];
        match shard.barrier(|step| concerns(step, partition)) {
            Some(stored) => settled(stored, false).await,
            None => Ok(()),
        }
    }

    /// What the store shows may not be shown by other reads yet: nobody may see it before all do.
    pub(super) async fn until_released(&self, shown: u64) -> Result<(), Failed> {
        let mut released = self.released.clone();
        match released.wait_for(|flushes| *flushes >= shown).await {
            Ok(_) => Ok(()),
            Err(_) => Err(Failed::Closed { in_doubt: false }),
        }
    }

    /// Brings records into the cache, and keeps them there until the pins are dropped.
    pub(super) async fn load<'s>(&self, shard: &'s Arc<Shard>, missing: Vec<Address>) -> Result<Pins<'s>, Failed> {
        shard.pin(&missing);
        let pins = Pins { shard, addresses: missing };
        let (mut waits, mut fills) = (Vec::new(), Vec::new());
        for address in &pins.addresses {
            match shard.look(address) {
                Look::Here(_) => {}
                Look::Filling(filled) => waits.push(filled),
                Look::Fill(ticket, filled) => {
                    fills.push((address.clone(), ticket));
                    waits.push(filled);
                }
            }
        }
        self.fill(fills);
        for filled in waits {
            read(filled).await?;
        }
        Ok(pins)
    }

    /// Reads and installs. A task of its own, so that a caller who goes away leaves nobody waiting.
    fn fill(&self, missing: Vec<(Address, Ticket)>) {
        if missing.is_empty() {
            return;
        }
        let embedded = self.clone();
        tokio::spawn(async move {
            let addresses = missing.iter().map(|(address, _)| address.clone()).collect();
            match embedded.shelf.editions(addresses).await {
                Ok(editions) => {
                    for ((address, ticket), edition) in missing.iter().zip(editions) {
                        embedded.shard_of(address).install(address, *ticket, Ok(edition.map(Arc::new)));
                    }
                }
                Err(failure) => {
                    for (address, ticket) in &missing {
                        embedded.shard_of(address).install(address, *ticket, Err(failure.clone()));
                    }
                }
            }
        });
    }

    fn shard_of(&self, address: &Address) -> &Arc<Shard> {
        &self.decks.shards[address.shard().index()]
    }
}

async fn read(filled: Filled) -> Result<Option<Arc<Edition>>, Failed> {
    match filled.await {
        Ok(found) => Ok(found?),
        Err(_) => Err(Failed::Closed { in_doubt: false }),
    }
}

fn concerns(step: &Step, partition: &Partition) -> bool {
    match step {
        Step::Write { changes, .. } => changes.iter().any(|change| partition.contains(&change.address)),
        Step::Drop { address, .. } => partition.contains(address),
        Step::Clean | Step::Barrier => false,
    }
}
