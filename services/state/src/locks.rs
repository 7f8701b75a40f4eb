//! Locks.

use std::{sync::Arc, time::Duration};

use uuid::Uuid;

use crate::{
    domain::{Micros, Partition},
    failed::Failed,
    state::State,
    write::Holder,
};

/// Asks for a lock.
#[derive(Debug, Clone)]
pub struct Acquire {
    /// The partition whose records it guards.
    pub partition: Partition,
    /// The lock's name: one that was checked as a key is.
    pub name: Arc<str>,
    /// How long it is held without renewal.
    pub ttl: Duration,
    /// How long to wait in line; zero: not at all.
    pub wait: Duration,
    /// The caller's id for it: a repeat gets the place in line, or the lock, that it has already.
    pub request_id: Uuid,
    /// Who asks, for people: the invocation, or the principal outside of one.
    pub holder: Arc<str>,
    /// The lease under which it asks.
    pub lease: Option<Holder>,
}

/// A lock that somebody says to hold: for renewing it, or giving it back.
#[derive(Debug, Clone)]
pub struct Held {
    /// The partition.
    pub partition: Partition,
    /// The lock's name.
    pub name: Arc<str>,
    /// Its fence.
    pub fence: u64,
    /// The lease under which the caller acts.
    pub lease: Option<Holder>,
}

/// A lock that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// Its name.
    pub name: Arc<str>,
    /// Rises with each holder.
    pub fence: u64,
    /// The invocation that holds it, or the principal outside of one.
    pub holder: Arc<str>,
    /// How long it is held without renewal.
    pub ttl: Duration,
    /// When it was taken.
    pub acquired: Micros,
    /// How many wait in line behind it.
    pub waiting: usize,
}

impl State {
    /// Takes a lock, waiting in line for it.
    ///
    /// # Errors
    /// [`Failed::LockHeld`] where the wait ends first, [`Failed::Full`] where the line is full, [`Failed::Fenced`] where the
    /// lease is superseded, or trouble with the stores.
    pub async fn acquire(&self, _acquire: Acquire) -> Result<Lock, Failed> {
        Err(Failed::Closed { in_doubt: false })
    }

    /// Starts a lock's time anew.
    ///
    /// # Errors
    /// A refusal ([`crate::write::Refusal::LockLost`]) where another has it, or nobody; or trouble with the stores.
    pub async fn renew(&self, _held: Held) -> Result<(), Failed> {
        Err(Failed::Closed { in_doubt: false })
    }

    /// Gives a lock back: the next in line has it. Giving back what is lost is no error.
    ///
    /// # Errors
    /// [`Failed::Fenced`], or trouble with the stores.
    pub async fn release(&self, _held: Held) -> Result<(), Failed> {
        Err(Failed::Closed { in_doubt: false })
    }

    /// The locks of a partition that are held, by name, behind the name `after`.
    ///
    /// # Errors
    /// Trouble with the stores.
    pub async fn locks(&self, _partition: &Partition, _after: &str, _most: usize) -> Result<Vec<Lock>, Failed> {
        Err(Failed::Closed { in_doubt: false })
    }
}
