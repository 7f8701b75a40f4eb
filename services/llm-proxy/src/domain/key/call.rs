//! The course of a key's calls: what is certain of each, and since when.

use std::time::Duration;

use super::{ENDING_MAX, Key, TRANSIT_MAX};
use crate::domain::{
    meter::Held,
    pool::{CallId, Lane, Need},
};

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It was never sent.
    Unsent,
    /// The provider is done with it; the tokens that it used, where they are known.
    Certain { used: Option<Need> },
    /// The provider turned it away: it arrived, and cost nothing else.
    Refused,
    /// It was given up, or broke: the provider may still be at it.
    Uncertain,
}

#[derive(Debug)]
pub(super) struct Call {
    pub(super) since: Duration,
    pub(super) lane: Lane,
    pub(super) need: Need,
    pub(super) own: Held,
    pub(super) model: Held,
    pub(super) arrived: Option<Duration>,
    pub(super) ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    Arrival,
    End,
}

impl Key {
    /// The request was written; it arrives within the transit bound.
    pub(crate) fn sent(&mut self, now: Duration, id: CallId) {
        if self.calls.get(&id).is_some_and(|call| call.arrived.is_none()) {
            self.due.insert((now + TRANSIT_MAX, id, Due::Arrival));
        }
    }

    /// The response began: the request has arrived.
    pub(crate) fn answered(&mut self, now: Duration, id: CallId) {
        self.arrive(now, id);
    }

    /// The provider took the key for this call.
    pub(crate) fn taken(&mut self, now: Duration, id: CallId) {
        if let Some(call) = self.calls.get(&id) {
            self.health.taken(now, call.since, self.concurrency);
        }
    }

    /// A call has written so much so far: what it was thought to write grows with it.
    pub(crate) fn writes(&mut self, now: Duration, id: CallId, output: u64) {
        let Some(call) = self.calls.get_mut(&id).filter(|call| !call.ended && output > call.need.output) else {
            return;
        };
        let more = output - std::mem::replace(&mut call.need.output, output);
        self.own.grow(now, &mut call.own, more);
        if let Some(book) = self.models.get_mut(&call.lane) {
            book.grow(now, &mut call.model, more);
        }
    }

    /// A call is over on our side. How long it held its place, where the provider is done with it.
    pub(crate) fn ended(&mut self, now: Duration, id: CallId, ending: Ending) -> Option<Duration> {
        match ending {
            Ending::Unsent => self.never_was(now, id),
            Ending::Certain { used } => {
                let held = self.calls.get(&id).map(|call| now.saturating_sub(call.since));
                if used.is_some() {
                    self.taken(now, id);
                }
                self.arrive(now, id);
                self.end(now, id, used);
                return held;
            }
            Ending::Refused => {
                self.arrive(now, id);
                self.end(now, id, Some(Need::default()));
            }
            Ending::Uncertain => {
                self.due.insert((now + TRANSIT_MAX, id, Due::Arrival));
                self.due.insert((now + ENDING_MAX, id, Due::End));
            }
        }
        None
    }

    pub(super) fn arrive(&mut self, now: Duration, id: CallId) {
        let Some(call) = self.calls.get_mut(&id).filter(|call| call.arrived.is_none()) else { return };
        call.arrived = Some(now);
        self.own.arrive(now, &call.own);
        if let Some(book) = self.models.get_mut(&call.lane) {
            book.arrive(now, &call.model);
        }
        self.forget(id);
    }

    pub(super) fn end(&mut self, now: Duration, id: CallId, used: Option<Need>) {
        let Some(call) = self.calls.get_mut(&id).filter(|call| !call.ended) else { return };
        call.ended = true;
        let arrived = call.arrived.unwrap_or(now);
        self.places -= 1;
        self.health.ended(call.since);
        self.own.end(now, &call.own, arrived, used);
        if let Some(book) = self.models.get_mut(&call.lane) {
            book.end(now, &call.model, arrived, used);
        }
        self.forget(id);
    }

    fn never_was(&mut self, now: Duration, id: CallId) {
        if self.calls.get(&id).is_none_or(|call| call.arrived.is_some() || call.ended) {
            return self.end(now, id, Some(Need::default()));
        }
        let Some(call) = self.calls.remove(&id) else { return };
        self.own.never_was(now, &call.own);
        if let Some(book) = self.models.get_mut(&call.lane) {
            book.never_was(now, &call.model);
        }
        self.places -= 1;
        self.health.ended(call.since);
    }

    fn forget(&mut self, id: CallId) {
        if self.calls.get(&id).is_some_and(|call| call.arrived.is_some() && call.ended) {
            self.calls.remove(&id);
        }
    }
}
