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

    /// The same for a part of what all may hold: one thing may always be held, however large, or it could never be.
    fn take_part(&self, bytes: usize) -> bool {
        let more = |held: usize| {
            if held == 0 { Some(bytes) } else { held.checked_add(bytes).filter(|held| *held <= self.max) }
        };
        self.held.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_ok()
    }

    pub(crate) fn give_back(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::AcqRel);
    }

    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Acquire)
    }
}

/// What is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Used {
    /// The tenant's part.
    Part,
    /// What there is for all.
    All,
}

/// What counts for a tenant and for all.
#[derive(Clone, Debug)]
pub(crate) struct Share {
    pub(crate) all: Arc<Account>,
    pub(crate) own: Arc<Account>,
}

impl Share {
    /// Takes bytes, all or none.
    pub(crate) fn take(&self, bytes: usize) -> Result<(), Used> {
        if !self.own.take_part(bytes) {
            return Err(Used::Part);
        }
        if !self.all.take(bytes) {
            self.own.give_back(bytes);
            return Err(Used::All);
        }
        Ok(())
    }

    pub(crate) fn give_back(&self, bytes: usize) {
        self.own.give_back(bytes);
        self.all.give_back(bytes);
    }

    /// Takes bytes until the weight is dropped.
    pub(crate) fn hold(&self, bytes: usize) -> Result<Weight, Used> {
        self.take(bytes).map(|()| Weight { share: self.clone(), bytes })
    }

    /// Takes bytes, and gives them back when the last who holds them has let go: the connection, once they are sent.
    pub(crate) fn weigh(&self, bytes: Bytes) -> Result<Bytes, Used> {
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
        assert!(share.weigh(Bytes::from_static(b"12345")).is_err(), "not that much");
        drop(first);
        assert_eq!((share.all.held(), share.own.held()), (6, 6));
        drop(part);
        assert_eq!((share.all.held(), share.own.held()), (0, 0));
    }

    #[test]
    fn a_tenant_leaves_room_for_another_and_what_is_refused_counts_for_nobody() {
        let all = Account::new(10);
        let [one, other] = [6, 6].map(|max| Share { all: all.clone(), own: Account::new(max) });
        assert_eq!((one.take(6), one.take(1)), (Ok(()), Err(Used::Part)));
        assert_eq!(other.take(5), Err(Used::All));
        assert_eq!((all.held(), one.own.held(), other.own.held()), (6, 6, 0));
        assert_eq!(other.take(4), Ok(()));
    }

    #[test]
    fn one_thing_larger_than_its_tenants_part_passes_alone() {
        let share = Share { all: Account::new(10), own: Account::new(3) };
        assert_eq!((share.take(8), share.take(1)), (Ok(()), Err(Used::Part)));
        share.give_back(8);
        assert_eq!(share.take(11), Err(Used::All), "not more than there is");
        assert_eq!(share.own.held(), 0);
    }
}
