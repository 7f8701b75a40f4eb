//! What the schedule knows of an invocation.

use std::sync::Arc;

use uuid::Uuid;

use super::super::time::Moment;

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
    /// Its place in the order of acceptance.
    pub seq: i64,
    /// The agent type.
    pub agent: Arc<str>,
    /// Whose it is.
    pub tenant: Arc<str>,
    /// Higher goes first.
    pub priority: i32,
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

/// How much there is of one agent type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Depth {
    /// The agent type.
    pub agent: Arc<str>,
    /// Waiting, for whatever.
    pub queued: u64,
    /// Running.
    pub leased: u64,
    /// When the oldest waiting one was accepted.
    pub oldest: Option<Moment>,
}
