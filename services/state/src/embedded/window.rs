//! The bounds on what is decided and not stored yet, over all shards.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use crate::store::Bound;

/// The most that may wait for the store.
#[derive(Debug, Clone, Copy)]
pub struct WindowLimits {
    /// CACHED writes that a crash may lose.
    pub cached: Bound,
    /// How long the oldest write of a shard may wait before CACHED writes to it turn synchronous.
    pub cached_age: Duration,
    /// Everything that waits, DURABLE writes included: past it, writes are refused.
    pub waiting: Bound,
}

/// What waits, counted.
#[derive(Debug)]
pub struct Window {
    limits: WindowLimits,
    cached: Count,
    waiting: Count,
}

#[derive(Debug, Default)]
struct Count {
    writes: AtomicU64,
    bytes: AtomicU64,
}

impl Count {
    fn fits(&self, bytes: u64, limit: Bound) -> bool {
        self.writes.load(Relaxed) < limit.writes && self.bytes.load(Relaxed) + bytes <= limit.bytes
    }

    fn add(&self, bytes: u64) {
        self.writes.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
    }

    fn remove(&self, bytes: u64) {
        self.writes.fetch_sub(1, Relaxed);
        self.bytes.fetch_sub(bytes, Relaxed);
    }
}

impl Window {
    /// An empty window.
    pub fn new(limits: WindowLimits) -> Self {
        Self { limits, cached: Count::default(), waiting: Count::default() }
    }

    /// Its limits.
    pub fn limits(&self) -> &WindowLimits {
        &self.limits
    }

    /// Whether one more write may wait at all.
    pub fn admits(&self, bytes: usize) -> bool {
        self.waiting.fits(bytes as u64, self.limits.waiting)
    }

    /// Whether one more write may be acknowledged before it is stored.
    pub fn admits_cached(&self, bytes: usize) -> bool {
        self.cached.fits(bytes as u64, self.limits.cached)
    }

    /// A write waits from now on. Shards count at once, so a limit may be passed by a write for each of them.
    pub fn enter(&self, bytes: usize, cached: bool) {
        self.waiting.add(bytes as u64);
        if cached {
            self.cached.add(bytes as u64);
        }
    }

    /// It waits no longer.
    pub fn leave(&self, bytes: usize, cached: bool) {
        self.waiting.remove(bytes as u64);
        if cached {
            self.cached.remove(bytes as u64);
        }
    }

    /// CACHED writes that are not stored yet.
    pub fn dirty(&self) -> Bound {
        Bound { writes: self.cached.writes.load(Relaxed), bytes: self.cached.bytes.load(Relaxed) }
    }

    /// All writes that are not stored yet.
    pub fn waiting(&self) -> Bound {
        Bound { writes: self.waiting.writes.load(Relaxed), bytes: self.waiting.bytes.load(Relaxed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_bounded_by_count_and_by_bytes() {
        let limit = Bound { writes: 2, bytes: 100 };
        let window = Window::new(WindowLimits { cached: limit, cached_age: Duration::ZERO, waiting: limit });
        assert!(window.admits_cached(100) && !window.admits_cached(101));
        window.enter(60, true);
        assert!(window.admits_cached(40) && !window.admits_cached(41));
        window.enter(1, true);
        assert!(!window.admits_cached(0) && !window.admits(0));
        window.leave(60, true);
        assert!(window.admits_cached(99));
        assert_eq!(window.dirty(), Bound { writes: 1, bytes: 1 });
    }
}
