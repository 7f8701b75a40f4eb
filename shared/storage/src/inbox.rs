//! What waits for a thread: a bounded pile that is taken whole.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::{Class, Failure};

/// Something that an inbox did not take, handed back.
#[derive(Debug)]
pub struct Refused<T> {
    /// What was offered.
    pub offered: T,
    /// Why it was not taken.
    pub failure: Failure,
}

/// Many put in, one thread takes out.
#[derive(Debug)]
pub(crate) struct Inbox<T> {
    pile: Mutex<Pile<T>>,
    filled: Condvar,
    waiting_max: usize,
    bytes_max: usize,
}

#[derive(Debug)]
struct Pile<T> {
    items: Vec<T>,
    bytes: usize,
    closed: bool,
}

impl<T> Inbox<T> {
    pub(crate) fn new(waiting_max: usize, bytes_max: usize) -> Self {
        let pile = Pile { items: Vec::new(), bytes: 0, closed: false };
        Self { pile: Mutex::new(pile), filled: Condvar::new(), waiting_max, bytes_max }
    }

    /// Takes all of `items`, which are so large together, or none. Whatever their size, an empty inbox takes them.
    pub(crate) fn put(&self, items: Vec<T>, bytes: usize) -> Result<(), Refused<Vec<T>>> {
        if items.is_empty() {
            return Ok(());
        }
        let mut pile = self.pile();
        if pile.closed {
            return Err(refused(items, Class::Closed, "it is closed"));
        }
        if pile.items.len() + items.len() > self.waiting_max {
            return Err(refused(items, Class::Overloaded, "too many commands wait"));
        }
        let idle = pile.items.is_empty();
        if !idle && pile.bytes + bytes > self.bytes_max {
            return Err(refused(items, Class::Overloaded, "commands of too many bytes wait"));
        }
        pile.bytes += bytes;
        if idle {
            pile.items = items;
        } else {
            pile.items.extend(items);
        }
        drop(pile);
        // A pile that was not empty has a thread on its way to it already.
        if idle {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// The whole pile, once there is one; `None` once closed and empty.
    pub(crate) fn take(&self) -> Option<Vec<T>> {
        let mut pile = self
            .filled
            .wait_while(self.pile(), |pile| pile.items.is_empty() && !pile.closed)
            .unwrap_or_else(PoisonError::into_inner);
        pile.bytes = 0;
        let items = std::mem::take(&mut pile.items);
        (!items.is_empty()).then_some(items)
    }

    /// Takes nothing more; what is inside is still handed out.
    pub(crate) fn close(&self) {
        self.pile().closed = true;
        self.filled.notify_all();
    }

    /// Waits for that long at most; true once it is closed.
    pub(crate) fn closes_within(&self, patience: Duration) -> bool {
        let open = self.filled.wait_timeout_while(self.pile(), patience, |pile| !pile.closed);
        open.unwrap_or_else(PoisonError::into_inner).0.closed
    }

    pub(crate) fn waiting(&self) -> usize {
        self.pile().items.len()
    }

    fn pile(&self) -> MutexGuard<'_, Pile<T>> {
        // Nobody can panic while holding it half-changed.
        self.pile.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes an inbox with its thread.
pub(crate) struct CloseOnDrop<T>(pub(crate) std::sync::Arc<Inbox<T>>);

impl<T> Drop for CloseOnDrop<T> {
    fn drop(&mut self) {
        self.0.close();
        // Dropping the tags tells whoever waits on them.
        drop(self.0.take());
    }
}

fn refused<T>(offered: T, class: Class, why: &str) -> Refused<T> {
    Refused { offered, failure: Failure::new(class, why) }
}
