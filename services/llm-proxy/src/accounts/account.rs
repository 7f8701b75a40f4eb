//! One budget, and whose it is.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::domain::{Budget, Day};

/// Whose budget it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    /// A tenant's, for a day.
    Tenant(Arc<str>),
    /// An invocation's, for its life. Its id comes from a lease token, whose signature was checked.
    Invocation(Arc<str>),
}

/// What this process knows of a budget.
#[derive(Debug)]
pub(crate) struct Account {
    pub(super) owner: Owner,
    pub(super) budget: Mutex<Budget>,
    /// Whether what is kept of it was asked for: once, whoever comes first, and the others wait for that.
    pub(super) met: OnceCell<()>,
    /// When it was last opened, counted in openings.
    pub(super) opened: AtomicU64,
    /// Whether it stands on the list of those that the duty looks after.
    pub(super) listed: AtomicBool,
    forgotten: AtomicBool,
}

impl Owner {
    /// Which day it is for this owner.
    pub(super) fn day(&self, micros: i64) -> Day {
        match self {
            Self::Tenant(_) => Day::of(micros),
            Self::Invocation(_) => Day::ALWAYS,
        }
    }
}

impl Account {
    pub(super) fn new(owner: Owner, limit: u64, day: Day) -> Self {
        Self {
            owner,
            budget: Mutex::new(Budget::new(limit, day)),
            met: OnceCell::new(),
            opened: AtomicU64::new(0),
            listed: AtomicBool::new(false),
            forgotten: AtomicBool::new(false),
        }
    }

    /// Another object may take its place from here on: this one is kept no more. Whether it had something to keep.
    pub(super) fn forget(&self) -> bool {
        self.forgotten.store(true, Ordering::Release);
        self.listed.load(Ordering::Acquire)
    }

    pub(super) fn is_forgotten(&self) -> bool {
        self.forgotten.load(Ordering::Acquire)
    }
}
