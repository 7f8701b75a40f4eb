//! What the store finds.

use uuid::Uuid;

use crate::domain::event::Event;
use crate::domain::invocation::Status;
use crate::domain::record::Phase;
use crate::domain::schedule::Place;
use crate::domain::time::Micros;

/// An invocation that has not ended, as a start finds it.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// Its id.
    pub id: Uuid,
    /// Its place in the order of acceptance.
    pub seq: i64,
    /// Its place in its session.
    pub place: Option<Place>,
    /// Whose it is.
    pub tenant: String,
    /// The session's name.
    pub session: Option<String>,
    /// The agent type.
    pub agent: String,
    /// Higher goes first.
    pub priority: i32,
    /// Not after.
    pub deadline: Option<Micros>,
    /// When it was accepted.
    pub accepted_at: Micros,
    /// The payload's size.
    pub bytes: usize,
    /// Attempts begun.
    pub attempt: u32,
    /// Waiting or running.
    pub phase: Phase,
}

/// Which invocations a list shows.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this tenant.
    pub tenant: Option<String>,
    /// Of this agent type.
    pub agent: Option<String>,
    /// Of this session.
    pub session: Option<String>,
    /// In these states; none means all.
    pub statuses: Vec<Status>,
    /// Accepted before this one.
    pub before: Option<Uuid>,
    /// At most.
    pub limit: usize,
}

/// How much of a history is read at once: one event at least.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// Events.
    pub events: usize,
    /// Their bytes.
    pub bytes: usize,
}

/// Events from an offset on.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// By rising offset.
    pub events: Vec<Event>,
    /// Whether there may be more that did not fit.
    pub more: bool,
    /// Whether the last one is the end.
    pub ended: bool,
}

/// A fence that state must be told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raise {
    /// Its place in the outbox.
    pub raise: i64,
    /// Whose it is.
    pub tenant: String,
    /// What it is the fence of.
    pub scope: RaiseScope,
    /// Leases up to this one are over.
    pub fence: u64,
}

/// What a fence is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RaiseScope {
    /// A session.
    Session(String),
    /// A lone invocation.
    Invocation(Uuid),
}
