//! What a process knows of who decides, and for how long it may believe it.
//!
//! The knowledge counts from before it was asked for. A process decides in a shared place, and answers from it, only while it
//! holds; to change who decides, the row first says `draining`, from when on nobody's knowledge grows any older than it is
//! already, and then a whole lease goes by.

use std::{collections::HashSet, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::sync::{Notify, futures::Notified};

use super::{archive::Deciding, clock::Clock};
use crate::domain::EpochId;

/// The knowledge.
#[derive(Debug)]
pub struct Lease {
    clock: Arc<dyn Clock>,
    span: Duration,
    held: Mutex<Held>,
    changed: Notify,
    wanted: Notify,
}

#[derive(Debug, Default)]
struct Held {
    deciding: Option<Arc<Deciding>>,
    until: Duration,
    /// Epochs that have to end: never believed in again. Of those that are over, the ones of which trouble is heard late.
    over: HashSet<EpochId>,
}

impl Lease {
    /// Nothing is known at first.
    pub fn new(clock: Arc<dyn Clock>, span: Duration) -> Self {
        Self { clock, span, held: Mutex::default(), changed: Notify::new(), wanted: Notify::new() }
    }

    /// To be taken before the store is asked.
    pub fn now(&self) -> Duration {
        self.clock.now()
    }

    /// How long it holds.
    pub fn span(&self) -> Duration {
        self.span
    }

    /// The store said this, asked at `asked`.
    pub fn learn(&self, asked: Duration, deciding: Deciding) -> Arc<Deciding> {
        let mut held = self.held.lock();
        let known = held.deciding.as_ref().is_some_and(|known| known.epoch == deciding.epoch);
        let deciding = Arc::new(deciding);
        if !known {
            held.over.retain(|over| *over == deciding.epoch);
        }
        let believed = !deciding.draining && deciding.same_server && !held.over.contains(&deciding.epoch);
        held.until = match believed {
            true => (asked + self.span).max(if known { held.until } else { Duration::ZERO }),
            // What was believed of it until now may be believed for as long.
            false if known => held.until,
            false => Duration::ZERO,
        };
        held.deciding = Some(Arc::clone(&deciding));
        drop(held);
        self.changed.notify_waiters();
        deciding
    }

    /// Ends the belief in an epoch at once.
    pub fn give_up(&self, epoch: EpochId) {
        let mut held = self.held.lock();
        held.over.insert(epoch);
        if held.deciding.as_ref().is_some_and(|known| known.epoch == epoch) {
            held.until = Duration::ZERO;
        }
    }

    /// Whether the belief in an epoch was ended here.
    pub fn is_given_up(&self, epoch: EpochId) -> bool {
        self.held.lock().over.contains(&epoch)
    }

    /// What may be believed now. Asked again after each reply, before it is passed on.
    pub fn current(&self) -> Option<Arc<Deciding>> {
        let held = self.held.lock();
        held.deciding.clone().filter(|_| self.clock.now() < held.until)
    }

    /// The last that was heard, believed or not.
    pub fn known(&self) -> Option<Arc<Deciding>> {
        self.held.lock().deciding.clone()
    }

    /// Ends when something is learned after this call.
    pub fn news(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Somebody cannot go on without newer knowledge.
    pub fn want(&self) {
        self.wanted.notify_one();
    }

    /// Waits until somebody wants it.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{domain::Epochs, redis::archive::Who};

    #[derive(Debug, Default)]
    struct Hands(Mutex<Duration>);

    impl Clock for Hands {
        fn now(&self) -> Duration {
            *self.0.lock()
        }
    }

    fn said(epoch: u64, draining: bool) -> Deciding {
        let epoch = EpochId(epoch);
        let epochs = Arc::new(Epochs::new(epoch));
        let floors = Arc::default();
        let (losses, lease) = (Arc::default(), Duration::ZERO);
        Deciding {
            epoch,
            who: Who::Store,
            draining,
            epochs,
            losses,
            lease,
            floors,
            fence_floor: 0,
            same_server: true,
            shards: Vec::new(),
        }
    }

    fn at(seconds: u64) -> (Arc<Hands>, Lease, impl Fn(u64)) {
        let hands = Arc::new(Hands::default());
        let lease = Lease::new(Arc::clone(&hands) as Arc<dyn Clock>, Duration::from_secs(10));
        let moved = Arc::clone(&hands);
        let set = move |seconds| *moved.0.lock() = Duration::from_secs(seconds);
        set(seconds);
        (hands, lease, set)
    }

    fn believes(lease: &Lease, epoch: u64) -> bool {
        lease.current().is_some_and(|deciding| deciding.epoch == EpochId(epoch))
    }

    #[test]
    fn it_counts_from_before_the_question() {
        let (_, lease, set) = at(100);
        let asked = lease.now();
        set(104);
        lease.learn(asked, said(1, false));
        set(109);
        assert!(believes(&lease, 1) && !believes(&lease, 2));
        set(110);
        assert!(lease.current().is_none() && lease.known().is_some());
    }

    #[test]
    fn what_is_draining_is_not_believed_for_longer() {
        let (_, lease, set) = at(100);
        lease.learn(lease.now(), said(1, false));
        set(105);
        lease.learn(lease.now(), said(1, true));
        assert!(believes(&lease, 1));
        set(110);
        assert!(!believes(&lease, 1));
        lease.learn(lease.now(), said(2, true));
        assert!(lease.current().is_none(), "it never was believed before it drained");
    }

    #[test]
    fn what_was_given_up_is_not_believed_again() {
        let (_, lease, _) = at(100);
        lease.learn(lease.now(), said(1, false));
        lease.give_up(EpochId(1));
        assert!(lease.current().is_none());
        lease.learn(lease.now(), said(1, false));
        assert!(lease.current().is_none());
        lease.learn(lease.now(), said(2, false));
        assert!(believes(&lease, 2));
    }

    #[test]
    fn trouble_of_an_older_epoch_that_comes_late_brings_back_no_belief() {
        let (_, lease, _) = at(100);
        lease.learn(lease.now(), said(2, false));
        lease.give_up(EpochId(2));
        lease.give_up(EpochId(1));
        lease.learn(lease.now(), said(2, false));
        assert!(lease.current().is_none() && lease.is_given_up(EpochId(2)));
    }
}
