//! Records in a place, bounded in bytes. What is at rest is evicted, oldest first; a record that was used since gets one
//! more round.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use crate::{
    domain::{Address, Edition, Seq},
    place::Seen,
};

/// What a record costs beside its name and its content.
const SLOT_BYTES: u64 = 128;

#[derive(Debug, Clone, Default)]
struct Slot {
    visible: Option<Arc<Edition>>,
    tip: Option<Arc<Edition>>,
    /// The last edition in the log; 0 where there is none.
    unstored: Seq,
    used: bool,
    bytes: u64,
}

impl Slot {
    fn newest(&self) -> Option<&Arc<Edition>> {
        self.tip.as_ref().or(self.visible.as_ref())
    }
}

/// The records of one shard.
#[derive(Debug, Clone, Default)]
pub(super) struct Records {
    slots: HashMap<Address, Slot>,
    clock: VecDeque<Address>,
    bytes: u64,
}

impl Records {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn look(&mut self, address: &Address) -> Seen {
        match self.slots.get_mut(address) {
            None => Seen::Missing,
            Some(slot) => {
                slot.used = true;
                Seen::Here { visible: slot.visible.clone(), tip: slot.tip.clone() }
            }
        }
    }

    /// The edition on which the next write builds; `None` where nothing is known of the record.
    pub(super) fn newest(&self, address: &Address) -> Option<Option<&Edition>> {
        self.slots.get(address).map(|slot| slot.newest().map(|edition| &**edition))
    }

    pub(super) fn has_tip(&self, address: &Address) -> bool {
        self.slots.get(address).is_some_and(|slot| slot.tip.is_some())
    }

    pub(super) fn install(&mut self, address: &Address, edition: Option<Arc<Edition>>) {
        self.slots.insert(address.clone(), Slot::default());
        self.clock.push_back(address.clone());
        self.change(address, |slot| slot.visible = edition);
    }

    /// A new edition, on top of what is there.
    pub(super) fn decide(&mut self, address: &Address, edition: &Arc<Edition>, cached: bool) {
        self.change(address, |slot| {
            slot.unstored = edition.seq;
            slot.used = true;
            *(if cached { &mut slot.visible } else { &mut slot.tip }) = Some(Arc::clone(edition));
        });
    }

    /// An edition has left the log.
    pub(super) fn stored(&mut self, address: &Address, edition: &Arc<Edition>, cached: bool) {
        self.change(address, |slot| {
            if !cached {
                slot.visible = Some(Arc::clone(edition));
            }
            slot.tip.take_if(|tip| tip.seq == edition.seq);
            if slot.unstored == edition.seq {
                slot.unstored = 0;
            }
        });
    }

    fn change(&mut self, address: &Address, change: impl FnOnce(&mut Slot)) {
        let Some(slot) = self.slots.get_mut(address) else { return };
        change(slot);
        let content = |edition: &Option<Arc<Edition>>| edition.as_ref().map_or(0, |edition| edition.bytes() as u64);
        let bytes = SLOT_BYTES + address.bytes() as u64 + content(&slot.visible);
        self.bytes = self.bytes - slot.bytes + bytes;
        slot.bytes = bytes;
    }

    /// Evicts records at rest until the bound holds, or all others are needed.
    pub(super) fn evict(&mut self, bytes_max: u64, spared: &[&Address]) {
        // Twice around: the first time takes away the second chance.
        let mut steps = 2 * self.clock.len();
        while self.bytes > bytes_max && steps > 0 {
            steps -= 1;
            let Some(address) = self.clock.pop_front() else { return };
            let Some(slot) = self.slots.get_mut(&address) else { continue };
            let used = std::mem::take(&mut slot.used);
            if used || slot.unstored != 0 || spared.contains(&&address) {
                self.clock.push_back(address);
            } else {
                self.bytes -= slot.bytes;
                self.slots.remove(&address);
            }
        }
    }
}
