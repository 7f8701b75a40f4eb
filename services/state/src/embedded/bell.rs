//! How the flusher learns that there is work: a bit for each shard, and one thread to wake.
//!
//! Writes do not wake the thread themselves. The first of them asks a task on the runtime to do it, which has its turn after
//! all that was ready to be decided by then: one wake-up for a whole round of the runtime, and a fuller batch, without a timer.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering::AcqRel, Ordering::Acquire, Ordering::Release},
    },
    thread::Thread,
};

use tokio::sync::Notify;

use crate::domain::{SHARDS, ShardId};

const _: () = assert!(SHARDS == u64::BITS as usize, "one bit for each shard");

/// Rung by whoever puts something into a log.
#[derive(Debug, Default)]
pub struct Bell {
    shards: AtomicU64,
    /// Tells the task that the first shard has rung since the thread looked.
    first: Notify,
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
        if self.shards.fetch_or(1 << shard.index(), AcqRel) == 0 {
            self.first.notify_one();
        }
    }

    /// Wakes the thread for those who rang. Runs on the runtime of the writes, until [`Self::stop`].
    pub async fn relay(&self) {
        while !self.is_stopped() {
            self.first.notified().await;
            self.wake();
        }
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
        self.first.notify_one();
        self.wake();
    }

    /// Whether it is to end.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Acquire)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, atomic::AtomicUsize},
        task::{Context, Wake, Waker},
    };

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

    /// Counts how often a task would have its turn.
    #[derive(Default)]
    struct Turns(AtomicUsize);

    impl Wake for Turns {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, AcqRel);
        }
    }

    #[test]
    fn writes_give_the_relay_one_turn_and_only_its_turn_wakes_the_flusher() {
        let (bell, turns) = (Arc::new(Bell::default()), Arc::<Turns>::default());
        let waker = Waker::from(Arc::clone(&turns));
        let mut relay = Box::pin(bell.relay());
        let mut turn = || assert!(relay.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        turn();
        ShardId::all().for_each(|shard| bell.ring(shard));
        assert_eq!(turns.0.load(Acquire), 1);
        let rung = Arc::clone(&bell);
        let flusher = std::thread::spawn(move || {
            std::thread::park();
            rung.rung().count()
        });
        let _ = bell.sleeper.set(flusher.thread().clone());
        turn();
        assert_eq!(flusher.join().unwrap(), SHARDS);
    }
}
