//! Reads that may be stale: answers that were true so long ago at most, from memory, also while the stores are gone.

use std::{
    hash::RandomState,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use quick_cache::{
    OptionsBuilder, Weighter,
    sync::{Cache, DefaultLifecycle},
};

use crate::{
    domain::{Address, Edition},
    failed::Failed,
    redis::clock::Clock,
    state::State,
};

/// Beside its content, an entry costs about so much.
const ENTRY_BYTES: usize = 128;
/// What an entry is taken to hold, for the size of the table.
const TYPICAL_BYTES: usize = 1_024;

/// Each part of the table has room for several records of the largest kind, or it would keep none of them.
const PART_BYTES: usize = 8 << 20;

/// What was known of a record.
#[derive(Debug, Clone)]
struct Known {
    edition: Option<Arc<Edition>>,
    /// When it was true for certain, by the clock: before the read that brought it was sent.
    at: Duration,
    /// When a write to it was last answered here.
    written: Option<Duration>,
}

impl Known {
    /// Whether it shows everything that was written here.
    fn is_fresh(&self) -> bool {
        self.written.is_none_or(|written| self.at > written)
    }
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
    /// Callers choose what is hashed, so it is hashed as the standard library does it.
    known: Cache<Address, Known, ByBytes, RandomState>,
    /// One change at a time: each looks at what was there before.
    changing: Mutex<()>,
    /// Runs while the machine sleeps, which makes answers older.
    clock: Arc<dyn Clock>,
    /// Whether anybody has read so yet: where nobody does, other calls do nothing for it.
    used: AtomicBool,
}

impl Stale {
    pub(crate) fn new(bytes: usize, clock: Arc<dyn Clock>) -> Self {
        let options = OptionsBuilder::new()
            .estimated_items_capacity((bytes / TYPICAL_BYTES).max(1))
            .weight_capacity(bytes as u64)
            .shards((bytes / PART_BYTES).max(1))
            .build()
            .expect("both capacities are said");
        let known = Cache::with_options(options, ByBytes, RandomState::new(), DefaultLifecycle::default());
        Self { known, changing: Mutex::default(), clock, used: AtomicBool::new(false) }
    }

    /// To be taken before a read is sent.
    pub(crate) fn now(&self) -> Duration {
        self.clock.now()
    }

    fn find(&self, address: &Address, max_staleness: Duration, now: Duration) -> Option<(Known, Duration)> {
        let known = self.known.get(address)?;
        let age = now.saturating_sub(known.at);
        (age <= max_staleness).then_some((known, age))
    }

    fn put(&self, address: &Address, edition: Option<Arc<Edition>>, at: Duration) {
        let _alone = self.changing.lock();
        let before = self.known.peek(address);
        // A read that was sent earlier may be answered later: the younger knowledge stays.
        if before.as_ref().is_none_or(|before| before.at <= at) {
            let written = before.and_then(|before| before.written);
            self.known.insert(address.clone(), Known { edition, at, written });
        }
    }

    /// A read that allows no staleness was answered: whoever reads the record otherwise profits.
    pub(crate) fn refresh(&self, addresses: &[Address], editions: &[Option<Arc<Edition>>], sent: Duration) {
        if !self.used.load(Relaxed) {
            return;
        }
        for (address, edition) in addresses.iter().zip(editions) {
            if self.known.contains_key(address) {
                self.put(address, edition.clone(), sent);
            }
        }
    }

    /// Records were written here: what is known of them is the past, and good only where nothing better can be had.
    pub(crate) fn written<'a>(&self, addresses: impl Iterator<Item = &'a Address>) {
        if !self.used.load(Relaxed) {
            return;
        }
        let _alone = self.changing.lock();
        let now = self.now();
        for address in addresses {
            if let Some(known) = self.known.peek(address) {
                self.known.insert(address.clone(), Known { written: Some(now), ..known });
            }
        }
    }

    /// Answers from memory what was true so long ago at most.
    fn answer(&self, addresses: &[Address], max_staleness: Duration, now: Duration) -> Answer {
        let mut answer = Answer { editions: vec![None; addresses.len()], oldest: None, missing: Vec::new() };
        for (place, address) in addresses.iter().enumerate() {
            let found = self.find(address, max_staleness, now);
            match found.filter(|(known, _)| known.is_fresh()) {
                Some((known, age)) => answer.put(place, known.edition, Some(age)),
                None => answer.missing.push(place),
            }
        }
        answer
    }
}

/// An answer in the making.
struct Answer {
    editions: Vec<Option<Arc<Edition>>>,
    oldest: Option<Duration>,
    /// Places that memory has no answer to.
    missing: Vec<usize>,
}

impl Answer {
    fn put(&mut self, place: usize, edition: Option<Arc<Edition>>, age: Option<Duration>) {
        self.editions[place] = edition;
        self.oldest = self.oldest.max(age);
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
        let stale = self.stale();
        let now = stale.now();
        let mut answer = stale.answer(addresses, max_staleness, now);
        if answer.missing.is_empty() {
            return Ok((answer.editions, answer.oldest));
        }
        let missing = std::mem::take(&mut answer.missing);
        let wanted: Vec<_> = missing.iter().map(|place| addresses[*place].clone()).collect();
        match self.decider().get(&wanted).await {
            Ok(found) => {
                stale.used.store(true, Relaxed);
                for ((place, address), edition) in missing.into_iter().zip(&wanted).zip(found) {
                    let live = edition.filter(|edition| edition.is_live());
                    stale.put(address, live.clone(), now);
                    answer.put(place, live, None);
                }
            }
            Err(failed) => {
                for (place, address) in missing.into_iter().zip(&wanted) {
                    let Some((known, age)) = stale.find(address, max_staleness, stale.now()) else {
                        return Err(failed);
                    };
                    answer.put(place, known.edition, Some(age));
                }
            }
        }
        Ok((answer.editions, answer.oldest))
    }
}

#[cfg(test)]
mod tests;
