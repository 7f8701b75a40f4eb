//! How the flusher learns that there is work: a bit for each shard, and one thread to wake.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering::AcqRel, Ordering::Acquire, Ordering::Release},
    },
    thread::Thread,
};

use crate::domain::{SHARDS, ShardId};

const _: () = assert!(SHARDS == u64::BITS as usize, "one bit for each shard");

/// Rung by whoever puts something into a log.
#[derive(Debug, Default)]
pub struct Bell {
    shards: AtomicU64,
    stopped: AtomicBool,
    sleeper: OnceLock<Thread>,
}

impl Bell {
    /// Names the thread that listens. Only the first one counts.
    pub fn listen(&self, thread: Thread) {
        let _ = self.sleeper.set(thread);
        self.wake();
    }

    /// A shard's log has something.
    pub fn ring(&self, shard: ShardId) {
        self.shards.fetch_or(1 << shard.index(), AcqRel);
        self.wake();
    }

    /// Something else than a shard has work.
    pub fn wake(&self) {
        if let Some(sleeper) = self.sleeper.get() {
            sleeper.unpark();
        }
    }

    /// The shards that have rung since.
    pub fn rung(&self) -> impl Iterator<Item = ShardId> + use<> {
        let mut bits = self.shards.swap(0, AcqRel);
        std::iter::from_fn(move || {
            let index = bits.trailing_zeros() as usize;
            bits &= bits.wrapping_sub(1);
            ShardId::from_index(index)
        })
    }

    /// The listener ends, whatever waits.
    pub fn stop(&self) {
        self.stopped.store(true, Release);
        self.wake();
    }

    /// Whether it is to end.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ring_is_heard_once() {
        let bell = Bell::default();
        for index in [0, 5, 63] {
            bell.ring(ShardId::from_index(index).unwrap());
        }
        assert_eq!(bell.rung().map(ShardId::index).collect::<Vec<_>>(), [0, 5, 63]);
        assert_eq!(bell.rung().count(), 0);
    }
}
