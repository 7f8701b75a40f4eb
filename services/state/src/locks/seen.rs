//! Since when a process has seen a lock's holder give no sign of life. Only its own monotonic clock counts, from when it saw
//! the last sign; so what a holder counts from before it sent its renewal is over first.

use quick_cache::sync::Cache;
use tokio::time::Instant;

use super::view::Stamp;
use crate::domain::Address;

/// Locks that a process remembers. One that it forgets gets its whole time again.
const LOCKS_MAX: usize = 10_000;

/// What a process has seen of locks; kept between calls, for those that ask again and again without waiting.
#[derive(Debug)]
pub(super) struct Seen {
    last: Cache<Address, (Stamp, Instant)>,
}

impl Seen {
    pub(super) fn new() -> Self {
        Self { last: Cache::new(LOCKS_MAX) }
    }

    /// Since when the lock has been as it is `now`.
    pub(super) fn since(&self, lock: &Address, stamp: Stamp, now: Instant) -> Instant {
        if let Some((known, since)) = self.last.get(lock)
            && known == stamp
        {
            return since;
        }
        self.last.insert(lock.clone(), (stamp, now));
        now
    }
}
