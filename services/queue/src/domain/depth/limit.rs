//! What may wait.

use std::collections::HashMap;
use std::time::Duration;

/// What may wait at most of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Invocations.
    pub items: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
}

/// What may wait, of whom.
#[derive(Debug, Clone)]
pub struct Limits {
    /// In all.
    pub total: Limit,
    /// Of one agent type.
    pub agent: Limit,
    /// Of one tenant.
    pub tenant: Limit,
    /// Of tenants with limits of their own.
    pub tenants: HashMap<String, Limit>,
    /// The part of a limit from which on only those get in who hold no more than their share.
    pub soft: f64,
    /// The longest hint.
    pub hint_max: Duration,
}

impl Limits {
    pub(super) fn of_tenant(&self, tenant: &str) -> Limit {
        self.tenants.get(tenant).copied().unwrap_or(self.tenant)
    }
}

/// A part of a number, rounded up: a limit of one is one, softly too.
#[must_use]
pub fn part(soft: f64, of: u64) -> u64 {
    (of as f64 * soft).ceil() as u64
}
