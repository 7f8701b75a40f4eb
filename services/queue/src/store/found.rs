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
    /// When it was accepted, or last redriven.
    pub accepted_at: Micros,
    /// The payload's size.
    pub bytes: usize,
    /// Attempts begun.
    pub attempt: u32,
    /// Waiting or running.
    pub phase: Phase,
}

/// Which invocations a list shows: those for which everything given holds. What is not given (none, empty) matches all.
///
/// The order is that of ids, whose first part is the time of acceptance; pages go on from an id. A store walks no more of
/// a tenant's history than what its narrowest condition leaves: a label, a session, an agent type, an end without success,
/// not having ended.
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
    /// With all of these labels, each name at most once.
    pub labels: Vec<(String, String)>,
    /// Accepted within this span.
    pub created: Period,
    /// Ended within this span; where one end of it is given, only what has ended (the last time) matches.
    pub ended: Period,
    /// Oldest first, instead of newest first.
    pub oldest_first: bool,
    /// Beyond this one in the order: older, or newer where the oldest come first. It need not be there any more.
    pub beyond: Option<Uuid>,
    /// At most.
    pub limit: usize,
}

/// What one call has redriven.
#[derive(Debug, Clone)]
pub struct Redrives {
    /// The call.
    pub redrive: Uuid,
    /// Of this tenant.
    pub tenant: Option<String>,
    /// Beyond this one.
    pub beyond: Option<Uuid>,
    /// At most.
    pub limit: usize,
}

/// A span of wall time. Each end may be open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Period {
    /// At this time or later.
    pub from: Option<Micros>,
    /// Before this time.
    pub until: Option<Micros>,
}

/// What has had its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Litter {
    /// Invocations whose last end was before a time, with all that belongs to them.
    Invocations,
    /// The same, but only the oldest beyond so many.
    Excess {
        /// How many are kept.
        keep: u64,
    },
    /// What the workers of such invocations told.
    Reports,
    /// Idempotency keys of invocations that were accepted before a time, and have ended.
    Keys,
    /// Sessions without members, whose last fence was given before a time.
    Sessions,
}

/// A small piece of a search for what has had its time. It must not be in anybody's way.
#[derive(Debug, Clone, Copy)]
pub struct Sweep {
    /// Of what.
    pub litter: Litter,
    /// What the wall clock says. What was accepted later than that was accepted by a clock that was ahead, and tells nothing
    /// of those behind it.
    pub now: Micros,
    /// Before this time.
    pub before: Micros,
    /// Where the piece before ended; none at the beginning.
    pub from: Option<i64>,
    /// Look at this many at most.
    pub limit: usize,
}

/// What a piece of a sweep came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// What is to be removed by [`Command::Discard`](super::Command::Discard).
    pub rows: Vec<i64>,
    /// How many invocations (reports, keys, sessions) the store has removed by itself.
    pub removed: u64,
    /// Where to go on; none at the end.
    pub next: Option<i64>,
    /// The last row before the first that is too young, or that a clock ahead accepted: a later sweep may go on behind it.
    pub seen: Option<i64>,
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
