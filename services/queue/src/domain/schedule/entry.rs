//! What the schedule knows of an invocation.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::super::time::{Micros, Moment};

/// The key by which one tenant's work goes in order, the smallest first: when it may first run, less `ageing` for each
/// point of priority. So a point of priority is worth so much waiting, whatever comes later passes nobody who waits for
/// longer than that, and the key never changes.
#[must_use]
pub fn turn(ready_at: Micros, priority: i32, ageing: Duration) -> i64 {
    let point = i64::try_from(ageing.as_micros()).unwrap_or(i64::MAX);
    ready_at.saturating_sub(i64::from(priority).saturating_mul(point))
}

/// A place in a session's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The session.
    pub session: i64,
    /// The place in it, from the counter that the accepting transaction raised.
    pub order: i64,
}

/// An invocation as the schedule knows it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its id.
    pub id: Uuid,
    /// Its place in the order of acceptance: it decides between equal turns.
    pub seq: i64,
    /// The agent type.
    pub agent: Arc<str>,
    /// Whose it is.
    pub tenant: Arc<str>,
    /// The smallest goes first: see [`turn`].
    pub turn: i64,
    /// Its place in a session.
    pub place: Option<Place>,
    /// Not before.
    pub ready_at: Option<Moment>,
    /// Not after.
    pub deadline: Option<Moment>,
    /// When it was accepted.
    pub accepted_at: Moment,
    /// The payload's size.
    pub bytes: usize,
}

/// Where an entry waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spot {
    /// Behind another one of its session.
    Held,
    /// For its time.
    Delayed,
    /// For a worker.
    Ready,
    /// Promised to a worker; the store has not confirmed it yet.
    Claimed,
    /// Running.
    Leased,
    /// Past its deadline; the store has not confirmed its end yet.
    Expired,
}

/// An entry in its place.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) entry: Entry,
    pub(super) spot: Spot,
    /// When its deadline comes up: later than the deadline itself where the store could not record it.
    pub(super) comes_up: Option<Moment>,
}
