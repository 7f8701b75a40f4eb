//! Leases in force and when each runs out, by monotonic time; and broken streams in their grace.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use foldhash::HashMap;
use uuid::Uuid;

use super::time::Moment;

/// A lease in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The invocation.
    pub invocation: Uuid,
    /// The agent type.
    pub agent: Arc<str>,
    /// Whose it is.
    pub tenant: Arc<str>,
    /// The payload's size, where it is known.
    pub bytes: usize,
    /// The worker's name.
    pub worker: Arc<str>,
    /// The worker's stream.
    pub stream: Option<Uuid>,
    /// The signed token.
    pub token: Arc<str>,
    /// The trace that its attempt belongs to.
    pub origin: Origin,
}

/// The trace of an attempt, as far as it is known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody records it.
    Unrecorded,
    /// It is recorded.
    Of {
        /// Of the span above it.
        traceparent: Arc<str>,
        /// The invocation's session.
        session: Option<Arc<str>>,
    },
    /// The lease was not granted here: only the store knows.
    Unread,
}

#[derive(Debug)]
struct Timed {
    held: Held,
    until: Moment,
    /// The store has been asked to free it, and has not answered yet.
    freeing: bool,
}

/// To which tenant a stream's worker was confined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Confines {
    /// To this one, or to none.
    To(Option<Arc<str>>),
    /// Not known any more: the queue was started again since.
    Unknown,
}

/// A stream that broke while it held leases.
#[derive(Debug, Clone)]
struct Broken {
    worker: Arc<str>,
    confines: Confines,
    until: Moment,
}

/// All leases in force.
#[derive(Debug, Default)]
pub struct Leases {
    leases: HashMap<Uuid, Timed>,
    ends: BTreeSet<(Moment, Uuid)>,
    /// Ordered, so that the same events always have the same consequences.
    streams: HashMap<Uuid, BTreeSet<Uuid>>,
    broken: BTreeMap<Uuid, Broken>,
    graces: BTreeSet<(Moment, Uuid)>,
}

impl Leases {
    /// A lease begins.
    pub fn begin(&mut self, lease: Uuid, held: Held, until: Moment) {
        if let Some(stream) = held.stream {
            self.streams.entry(stream).or_default().insert(lease);
        }
        self.ends.insert((until, lease));
        self.leases.insert(lease, Timed { held, until, freeing: false });
    }

    /// A lease is renewed; false when there is none, and when it is being freed: its holder must not be promised what the
    /// store is about to take away.
    pub fn renew(&mut self, lease: Uuid, until: Moment) -> bool {
        let renewable = self.leases.get(&lease).is_some_and(|timed| !timed.freeing);
        if renewable {
            self.lasts(lease, until);
        }
        renewable
    }

    /// The store is asked to free a lease. It comes up no more until the store has answered; false when it is there no
    /// more, or has been asked already.
    pub fn free(&mut self, lease: Uuid) -> bool {
        let Some(timed) = self.leases.get_mut(&lease) else { return false };
        self.ends.remove(&(timed.until, lease));
        !std::mem::replace(&mut timed.freeing, true)
    }

    /// The store says that a lease which it was asked to free is not this process's to free: it is remembered no more.
    pub fn freed_elsewhere(&mut self, lease: Uuid) {
        if self.leases.get(&lease).is_some_and(|timed| timed.freeing) {
            self.end(lease);
        }
    }

    /// Every lease lasts until then again, and every broken stream has its grace until then: this process did not run for
    /// a while, so it cannot know who was silent. What the store was asked to free already stays so.
    pub fn begin_again(&mut self, until: Moment, grace: Moment) {
        let leases: Vec<Uuid> = self.ends.iter().map(|(_, lease)| *lease).collect();
        for lease in leases {
            self.lasts(lease, until);
        }
        self.graces = self.broken.keys().map(|stream| (grace, *stream)).collect();
        for broken in self.broken.values_mut() {
            broken.until = grace;
        }
    }

    /// All leases in force.
    pub fn all(&self) -> impl Iterator<Item = Uuid> {
        self.leases.keys().copied()
    }

    /// The store did not free a lease: it goes on until then.
    pub fn keep(&mut self, lease: Uuid, until: Moment) {
        if self.leases.get(&lease).is_some_and(|timed| timed.freeing) {
            self.lasts(lease, until);
        }
    }

    /// A lease is over.
    pub fn end(&mut self, lease: Uuid) -> Option<Held> {
        let timed = self.leases.remove(&lease)?;
        self.ends.remove(&(timed.until, lease));
        self.leave_stream(lease, timed.held.stream);
        Some(timed.held)
    }

    /// A lease moves to another stream, with its full time.
    pub fn adopt(&mut self, lease: Uuid, stream: Uuid, until: Moment) {
        let Some(timed) = self.leases.get_mut(&lease) else { return };
        let from = timed.held.stream.replace(stream);
        self.leave_stream(lease, from);
        self.streams.entry(stream).or_default().insert(lease);
        self.lasts(lease, until);
    }

    /// A lease in force.
    #[must_use]
    pub fn get(&self, lease: Uuid) -> Option<&Held> {
        self.leases.get(&lease).map(|timed| &timed.held)
    }

    /// The leases of a stream.
    #[must_use]
    pub fn of_stream(&self, stream: Uuid) -> Vec<Uuid> {
        self.streams.get(&stream).map(|leases| leases.iter().copied().collect()).unwrap_or_default()
    }

    /// Leases in force.
    #[must_use]
    pub fn count(&self) -> usize {
        self.leases.len()
    }

    /// A stream broke; its leases stay for a grace. Without leases nothing is remembered.
    pub fn broke(&mut self, stream: Uuid, worker: Arc<str>, confines: Confines, until: Moment) {
        if self.streams.contains_key(&stream) && !self.broken.contains_key(&stream) {
            self.graces.insert((until, stream));
            self.broken.insert(stream, Broken { worker, confines, until });
        }
    }

    /// Broken streams of a worker that comes back: those that bear its name and tenant. They are broken no more.
    pub fn returned(&mut self, worker: &str, tenant: Option<&str>) -> Vec<Uuid> {
        let theirs = |broken: &Broken| {
            &*broken.worker == worker
                && match &broken.confines {
                    Confines::To(confined) => confined.as_deref() == tenant,
                    Confines::Unknown => true,
                }
        };
        let streams: Vec<Uuid> =
            self.broken.iter().filter(|(_, broken)| theirs(broken)).map(|(stream, _)| *stream).collect();
        for stream in &streams {
            self.forget_broken(*stream);
        }
        streams
    }

    /// Leases whose time is up, and leases of streams whose grace is up. Each comes once, marked as being freed: should the
    /// store fail to free it, it must be [kept](Self::keep).
    pub fn due(&mut self, now: Moment) -> Vec<Uuid> {
        let mut due = Vec::new();
        while let Some(&(at, stream)) = self.graces.first()
            && at <= now
        {
            self.forget_broken(stream);
            due.extend(self.of_stream(stream).into_iter().filter(|lease| self.free(*lease)));
        }
        while let Some(&(at, lease)) = self.ends.first()
            && at <= now
        {
            self.free(lease);
            due.push(lease);
        }
        due
    }

    /// When [`due`](Self::due) has something to do next.
    #[must_use]
    pub fn next_due(&self) -> Option<Moment> {
        let first = |set: &BTreeSet<(Moment, Uuid)>| set.first().map(|(at, _)| *at);
        [first(&self.ends), first(&self.graces)].into_iter().flatten().min()
    }

    fn lasts(&mut self, lease: Uuid, until: Moment) {
        let Some(timed) = self.leases.get_mut(&lease) else { return };
        self.ends.remove(&(timed.until, lease));
        timed.until = until;
        timed.freeing = false;
        self.ends.insert((until, lease));
    }

    fn forget_broken(&mut self, stream: Uuid) {
        if let Some(broken) = self.broken.remove(&stream) {
            self.graces.remove(&(broken.until, stream));
        }
    }

    fn leave_stream(&mut self, lease: Uuid, stream: Option<Uuid>) {
        let Some(stream) = stream else { return };
        let Some(leases) = self.streams.get_mut(&stream) else { return };
        leases.remove(&lease);
        if leases.is_empty() {
            self.streams.remove(&stream);
            self.forget_broken(stream);
        }
    }
}

#[cfg(test)]
mod tests;
