//! Bytes that many calls hold together, and of which no tenant holds more than its part.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

/// How many bytes are held, and may be.
#[derive(Debug)]
pub(crate) struct Account {
    held: AtomicUsize,
    max: usize,
}

impl Account {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { held: AtomicUsize::new(0), max })
    }

    /// Takes bytes, all or none.
    pub(crate) fn take(&self, bytes: usize) -> bool {
        let more = |held: usize| held.checked_add(bytes).filter(|held| *held <= self.max);
        self.held.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_ok()
    }

    pub(crate) fn give_back(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::AcqRel);
    }

    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Acquire)
    }
}

/// What counts for a tenant and for all.
#[derive(Clone, Debug)]
pub(crate) struct Share {
    pub(crate) all: Arc<Account>,
    pub(crate) own: Arc<Account>,
}

impl Share {
    /// Takes bytes, all or none.
    pub(crate) fn take(&self, bytes: usize) -> bool {
        let taken = self.own.take(bytes);
        if taken && !self.all.take(bytes) {
            self.own.give_back(bytes);
            return false;
        }
        taken
    }

    pub(crate) fn give_back(&self, bytes: usize) {
        self.own.give_back(bytes);
        self.all.give_back(bytes);
    }

    /// Takes bytes until the weight is dropped.
    pub(crate) fn hold(&self, bytes: usize) -> Option<Weight> {
        self.take(bytes).then(|| Weight { share: self.clone(), bytes })
    }

    /// Takes bytes, and gives them back when the last who holds them has let go: the connection, once they are sent.
    pub(crate) fn weigh(&self, bytes: Bytes) -> Option<Bytes> {
        self.hold(bytes.len()).map(|weight| Bytes::from_owner(Weighed { _weight: weight, bytes }))
    }
}

/// Bytes that are held.
#[derive(Debug)]
pub(crate) struct Weight {
    share: Share,
    bytes: usize,
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.share.give_back(self.bytes);
    }
}

struct Weighed {
    _weight: Weight,
    bytes: Bytes,
}

impl AsRef<[u8]> for Weighed {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_count_until_the_last_who_holds_them_lets_go() {
        let share = Share { all: Account::new(10), own: Account::new(10) };
        let first = share.weigh(Bytes::from_static(b"123456")).expect("there is room");
        let part = first.slice(2..3);
        assert!(share.weigh(Bytes::from_static(b"12345")).is_none(), "not that much");
        drop(first);
        assert_eq!((share.all.held(), share.own.held()), (6, 6));
        drop(part);
        assert_eq!((share.all.held(), share.own.held()), (0, 0));
    }

    #[test]
    fn a_tenant_leaves_room_for_another_and_what_is_refused_counts_for_nobody() {
        let all = Account::new(10);
        let [one, other] = [6, 6].map(|max| Share { all: all.clone(), own: Account::new(max) });
        assert!(one.take(6) && !one.take(1), "its part");
        assert!(!other.take(5), "all of it");
        assert_eq!((all.held(), one.own.held(), other.own.held()), (6, 6, 0));
        assert!(other.take(4));
    }
}
