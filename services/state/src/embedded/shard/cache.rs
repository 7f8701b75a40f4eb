//! Records in memory, bounded in bytes. What is at rest is evicted by a clock: a record that was used since the hand came
//! by gets one more round.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use tokio::sync::oneshot;

use super::Stored;
use crate::domain::{Address, Edition, Vector};

/// What an entry costs beside its names and its content: map, clock, edition.
const SLOT_BYTES: usize = 256;

/// One record.
#[derive(Debug, Default)]
pub(super) struct Slot {
    /// What readers see; `None`: there is no such record.
    pub(super) visible: Option<Arc<Edition>>,
    /// The version that readers saw before, where it was seen here: most who come too late come from it.
    pub(super) before: Option<Vector>,
    /// The newest decided edition, where it is not visible yet.
    pub(super) tip: Option<Arc<Edition>>,
    /// A tombstone whose end is in the log.
    pub(super) dropping: bool,
    /// Writes in the log.
    pub(super) unflushed: u32,
    /// Calls that can only be answered once the tip is stored.
    pub(super) waiters: Vec<oneshot::Sender<Stored>>,
    used: bool,
    bytes: usize,
    /// Tells this slot's place in the clock from that of an earlier one of the same address.
    number: u64,
}

impl Slot {
    /// The edition on which the next write builds.
    pub(super) fn newest(&self) -> Option<&Arc<Edition>> {
        self.tip.as_ref().or(self.visible.as_ref())
    }

    /// What readers see from now on.
    pub(super) fn show(&mut self, edition: &Arc<Edition>) {
        self.before = self.visible.replace(Arc::clone(edition)).map(|before| before.vector.clone());
    }

    /// Whether something decided is still hidden.
    pub(super) fn is_pending(&self) -> bool {
        self.tip.is_some() || self.dropping
    }

    fn rests(&self) -> bool {
        self.unflushed == 0 && !self.is_pending() && self.waiters.is_empty()
    }

    fn weigh(&self, address: &Address) -> usize {
        let content = |edition: &Option<Arc<Edition>>| edition.as_ref().map_or(0, |edition| edition.bytes());
        SLOT_BYTES + 2 * address.bytes() + content(&self.visible) + content(&self.tip)
    }
}

/// The cache of one shard.
#[derive(Debug)]
pub(super) struct Cache {
    slots: HashMap<Address, Slot>,
    clock: VecDeque<(Address, u64)>,
    /// Records that a call needs in the cache together.
    pins: HashMap<Address, u32>,
    bytes: usize,
    bytes_max: usize,
    made: u64,
}

impl Cache {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { slots: HashMap::new(), clock: VecDeque::new(), pins: HashMap::new(), bytes: 0, bytes_max, made: 0 }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A record, used now.
    pub(super) fn get(&mut self, address: &Address) -> Option<&Slot> {
        let slot = self.slots.get_mut(address)?;
        slot.used = true;
        Some(slot)
    }

    /// Puts in what the store has, unless the record is there already.
    pub(super) fn install(&mut self, address: &Address, edition: Option<Arc<Edition>>) {
        if self.slots.contains_key(address) {
            return;
        }
        self.made += 1;
        let slot = Slot { visible: edition, number: self.made, ..Slot::default() };
        self.clock.push_back((address.clone(), self.made));
        self.slots.insert(address.clone(), slot);
        self.change(address, |_| ());
        self.evict();
    }

    /// Changes a record and weighs it anew. Nothing happens where it is not there.
    pub(super) fn change<R>(&mut self, address: &Address, change: impl FnOnce(&mut Slot) -> R) -> Option<R> {
        let slot = self.slots.get_mut(address)?;
        let changed = change(slot);
        let bytes = slot.weigh(address);
        self.bytes = self.bytes - slot.bytes + bytes;
        slot.bytes = bytes;
        Some(changed)
    }

    /// Takes a record out.
    pub(super) fn remove(&mut self, address: &Address) -> Option<Slot> {
        let slot = self.slots.remove(address)?;
        self.bytes -= slot.bytes;
        Some(slot)
    }

    /// Begins the end of a tombstone at rest.
    pub(super) fn begin_drop(&mut self, address: &Address) -> Option<Arc<Edition>> {
        let slot = self.slots.get_mut(address).filter(|slot| slot.rests())?;
        let tombstone = slot.visible.clone().filter(|edition| !edition.is_live())?;
        slot.dropping = true;
        Some(tombstone)
    }

    pub(super) fn pin(&mut self, address: &Address) {
        *self.pins.entry(address.clone()).or_default() += 1;
    }

    pub(super) fn unpin(&mut self, address: &Address) {
        if let Some(count) = self.pins.get_mut(address) {
            *count -= 1;
            if *count == 0 {
                self.pins.remove(address);
            }
        }
    }

    /// Evicts records at rest until the bound holds, or all others are needed.
    pub(super) fn evict(&mut self) {
        // Twice around: the first time takes away the second chance.
        let mut steps = 2 * self.clock.len();
        while self.bytes > self.bytes_max && steps > 0 {
            steps -= 1;
            let Some((address, number)) = self.clock.pop_front() else { return };
            let Some(slot) = self.slots.get_mut(&address).filter(|slot| slot.number == number) else { continue };
            let spared = std::mem::take(&mut slot.used);
            if spared || !slot.rests() || self.pins.contains_key(&address) {
                self.clock.push_back((address, number));
            } else {
                self.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::shard::tests::{address, edition};

    fn filled(bytes_max: usize, keys: &[&str]) -> Cache {
        let mut cache = Cache::new(bytes_max);
        for key in keys {
            cache.install(&address(key), Some(edition(1, 100)));
        }
        cache
    }

    #[test]
    fn the_cache_is_bounded_in_bytes() {
        let one = filled(usize::MAX, &["a"]).bytes();
        let keys: Vec<_> = (0..500).map(|n| format!("{n:03}")).collect();
        let mut cache = Cache::new(10 * one);
        for key in &keys {
            cache.install(&address(key), Some(edition(1, 100)));
            assert!(cache.bytes() <= 10 * one + one);
        }
        assert!(cache.slots.len() <= 10 && cache.clock.len() <= 10);
    }

    #[test]
    fn a_record_with_unstored_writes_is_never_evicted() {
        let mut cache = filled(0, &[]);
        cache.bytes_max = usize::MAX;
        for key in ["a", "b", "c"] {
            cache.install(&address(key), None);
        }
        cache.change(&address("b"), |slot| slot.unflushed = 1);
        cache.pin(&address("c"));
        cache.bytes_max = 0;
        cache.evict();
        assert!(cache.get(&address("a")).is_none());
        assert!(cache.get(&address("b")).is_some() && cache.get(&address("c")).is_some());
        cache.unpin(&address("c"));
        cache.evict();
        assert!(cache.get(&address("c")).is_none());
    }

    #[test]
    fn what_is_used_outlives_what_is_not() {
        let one = filled(usize::MAX, &["a"]).bytes();
        let mut cache = filled(2 * one, &["a", "b"]);
        assert!(cache.get(&address("a")).is_some());
        cache.install(&address("c"), Some(edition(1, 100)));
        assert!(cache.get(&address("a")).is_some() && cache.get(&address("b")).is_none());
    }

    #[test]
    fn only_a_tombstone_at_rest_is_forgotten() {
        let mut cache = filled(usize::MAX, &["live"]);
        let mut gone = (*edition(2, 0)).clone();
        gone.value = None;
        cache.install(&address("gone"), Some(Arc::new(gone)));
        assert!(cache.begin_drop(&address("live")).is_none());
        assert!(cache.begin_drop(&address("gone")).is_some());
        assert!(cache.begin_drop(&address("gone")).is_none(), "it is on its way already");
    }
}
