//! The calls of older clients while they run, so that a later request can cancel them. A client of the current revision ends
//! its request instead.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use holdfast_rpc::service::Stop;
use parking_lot::Mutex;

/// A request, as its client names it; nobody else can say the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Name {
    pub(super) tenant: Option<String>,
    pub(super) principal: String,
    pub(super) session: String,
    /// The request's id as JSON: 1 is not "1".
    pub(super) id: String,
}

/// What runs. There is an entry for each call under way, and their number has its limit.
#[derive(Debug, Clone, Default)]
pub(super) struct Running {
    calls: Arc<Mutex<HashMap<Name, (u64, Stop)>>>,
    entries: Arc<AtomicU64>,
}

/// A call that runs until this is dropped.
#[derive(Debug)]
pub(super) struct Entered {
    running: Running,
    name: Name,
    entry: u64,
}

impl Running {
    /// Notes a call; `cancelled` is told when its client wants it no more.
    pub(super) fn enter(&self, name: Name, cancelled: Stop) -> Entered {
        let entry = self.entries.fetch_add(1, Ordering::Relaxed);
        self.calls.lock().insert(name.clone(), (entry, cancelled));
        Entered { running: self.clone(), name, entry }
    }

    /// Ends a call, if it runs here.
    pub(super) fn cancel(&self, name: &Name) {
        if let Some((_, cancelled)) = self.calls.lock().remove(name) {
            cancelled.cancel();
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut calls = self.running.calls.lock();
        // A client that uses an id twice has put the later call in the place of the earlier one.
        if calls.get(&self.name).is_some_and(|(entry, _)| *entry == self.entry) {
            calls.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(principal: &str, session: &str, id: &str) -> Name {
        let [principal, session, id] = [principal, session, id].map(str::to_owned);
        Name { tenant: None, principal, session, id }
    }

    #[test]
    fn a_call_is_cancelled_by_its_own_client_only() {
        let (running, cancelled) = (Running::default(), Stop::new());
        let _entered = running.enter(name("shop", "s", "1"), cancelled.clone());
        for other in [name("else", "s", "1"), name("shop", "t", "1"), name("shop", "s", "\"1\"")] {
            running.cancel(&other);
        }
        assert!(!cancelled.is_cancelled());
        running.cancel(&name("shop", "s", "1"));
        assert!(cancelled.is_cancelled());
    }

    #[test]
    fn nothing_is_left_of_a_call_that_has_ended() {
        let running = Running::default();
        let first = running.enter(name("shop", "s", "1"), Stop::new());
        let second = running.enter(name("shop", "s", "1"), Stop::new());
        drop(first);
        assert_eq!(running.calls.lock().len(), 1, "the id stands for the later call");
        drop(second);
        assert!(running.calls.lock().is_empty());
    }
}
