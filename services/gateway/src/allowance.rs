use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

/// Bytes that many calls together may hold. Cloning it shares it.
#[derive(Clone, Debug)]
pub(crate) struct Allowance(Arc<Account>);

#[derive(Debug)]
struct Account {
    held: AtomicUsize,
    max: usize,
}

impl Allowance {
    pub(crate) fn new(max: usize) -> Self {
        Self(Arc::new(Account { held: AtomicUsize::new(0), max }))
    }

    /// Takes bytes, all or none.
    pub(crate) fn take(&self, bytes: usize) -> bool {
        let more = |held: usize| held.checked_add(bytes).filter(|held| *held <= self.0.max);
        self.0.held.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_ok()
    }

    pub(crate) fn give_back(&self, bytes: usize) {
        self.0.held.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// Takes bytes, and gives them back when the last who holds them has let go: the connection, once they are sent.
    pub(crate) fn weigh(&self, bytes: Bytes) -> Option<Bytes> {
        self.take(bytes.len()).then(|| Bytes::from_owner(Weighed { allowance: self.clone(), bytes }))
    }

    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.0.held.load(Ordering::Acquire)
    }
}

struct Weighed {
    allowance: Allowance,
    bytes: Bytes,
}

impl AsRef<[u8]> for Weighed {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Weighed {
    fn drop(&mut self) {
        self.allowance.give_back(self.bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_count_until_the_last_who_holds_them_lets_go() {
        let allowance = Allowance::new(10);
        let first = allowance.weigh(Bytes::from_static(b"123456")).expect("there is room");
        let part = first.slice(2..3);
        assert!(allowance.weigh(Bytes::from_static(b"12345")).is_none(), "not that much");
        drop(first);
        assert_eq!(allowance.held(), 6);
        drop(part);
        assert_eq!(allowance.held(), 0);
    }
}
