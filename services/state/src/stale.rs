//! Reads that may be stale: answers that were true so long ago at most, from memory, also while the stores are gone.

use std::{sync::Arc, time::Duration};

use quick_cache::{Weighter, sync::Cache};
use tokio::time::Instant;

use crate::{
    domain::{Address, Edition},
    failed::Failed,
    state::State,
};

/// Beside its content, an entry costs about so much.
const ENTRY_BYTES: usize = 128;
/// What an entry is taken to hold, for the size of the table.
const TYPICAL_BYTES: usize = 1_024;

/// What was known of a record.
#[derive(Debug, Clone)]
struct Known {
    edition: Option<Arc<Edition>>,
    /// When it was true for certain: before the read that brought it was sent.
    at: Instant,
}

#[derive(Debug, Clone)]
struct ByBytes;

impl Weighter<Address, Known> for ByBytes {
    fn weight(&self, address: &Address, known: &Known) -> u64 {
        let content = known.edition.as_ref().map_or(0, |edition| edition.bytes());
        (ENTRY_BYTES + address.bytes() + content) as u64
    }
}

/// The records that are read so, bounded in bytes.
#[derive(Debug)]
pub(crate) struct Stale {
    known: Cache<Address, Known, ByBytes>,
}

impl Stale {
    pub(crate) fn new(bytes: usize) -> Self {
        let known = Cache::with_weighter((bytes / TYPICAL_BYTES).max(1), bytes as u64, ByBytes);
        Self { known }
    }

    fn find(&self, address: &Address, max_staleness: Duration, now: Instant) -> Option<(Known, Duration)> {
        let known = self.known.get(address)?;
        let age = now.saturating_duration_since(known.at);
        (age <= max_staleness).then_some((known, age))
    }

    fn put(&self, address: &Address, edition: Option<Arc<Edition>>, at: Instant) {
        // A read that was sent earlier may be answered later: the younger knowledge stays.
        if self.known.peek(address).is_none_or(|known| known.at <= at) {
            self.known.insert(address.clone(), Known { edition, at });
        }
    }

    /// A read that allows no staleness was answered: whoever reads the record otherwise profits.
    pub(crate) fn refresh(&self, addresses: &[Address], editions: &[Option<Arc<Edition>>], sent: Instant) {
        if self.known.is_empty() {
            return;
        }
        for (address, edition) in addresses.iter().zip(editions) {
            if self.known.contains_key(address) {
                self.put(address, edition.clone(), sent);
            }
        }
    }

    /// A record was written here: who reads it next is to see that.
    pub(crate) fn forget<'a>(&self, addresses: impl Iterator<Item = &'a Address>) {
        if !self.known.is_empty() {
            addresses.for_each(|address| drop(self.known.remove(address)));
        }
    }
}

impl State {
    /// Records as they were so long ago at most, and how old the oldest answer is; `None` where all are current. What is
    /// known well enough comes from memory, whether or not the stores are there.
    ///
    /// # Errors
    /// What is not known well enough cannot be read.
    pub async fn get_stale(
        &self,
        addresses: &[Address],
        max_staleness: Duration,
    ) -> Result<(Vec<Option<Arc<Edition>>>, Option<Duration>), Failed> {
        let now = Instant::now();
        let mut editions = vec![None; addresses.len()];
        let (mut oldest, mut missing) = (None, Vec::new());
        for (place, address) in addresses.iter().enumerate() {
            match self.stale().find(address, max_staleness, now) {
                Some((known, age)) => {
                    editions[place] = known.edition;
                    oldest = oldest.max(Some(age));
                }
                None => missing.push(place),
            }
        }
        if !missing.is_empty() {
            let wanted: Vec<_> = missing.iter().map(|place| addresses[*place].clone()).collect();
            let found = self.decider().get(&wanted).await?;
            for ((place, address), edition) in missing.into_iter().zip(&wanted).zip(found) {
                let live = edition.filter(|edition| edition.is_live());
                self.stale().put(address, live.clone(), now);
                editions[place] = live;
            }
        }
        Ok((editions, oldest))
    }
}
