use std::{sync::Arc, time::Duration};

use super::{Shared, journal::Slot};
use crate::domain::{ENDING_MAX, Ending, Grant, Record, TRANSIT_MAX, Ticket};

/// A place with a key. It is given back when this is dropped: unused before [`Place::dispatch`], else as a call that was
/// given up, unless its end was told.
#[derive(Debug)]
pub(crate) struct Place {
    shared: Arc<Shared>,
    grant: Grant,
    slot: Option<Slot>,
    record: Record,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Granted,
    Dispatched,
    Ended,
}

impl Place {
    pub(super) fn new(shared: Arc<Shared>, grant: Grant) -> Self {
        Self { shared, grant, slot: None, record: Record::default(), state: State::Granted }
    }

    /// Which of the provider's keys it is.
    pub(crate) fn key(&self) -> usize {
        self.grant.key
    }

    /// The call's place in the order, to come again with.
    pub(crate) fn ticket(&self) -> Ticket {
        self.grant.ticket
    }

    /// The request goes out now. What is kept of it, is kept before.
    pub(crate) fn dispatch(&mut self, tokens: u64) {
        self.state = State::Dispatched;
        self.record = Record { tokens, ..Record::default() };
        if let Some(journal) = &self.shared.journals[self.grant.key] {
            self.slot = journal.begin(self.shared.clock.now(), &self.record);
        }
        self.shared.gauges.called(self.grant.key, 1.0);
    }

    /// What hears of the request's arrival.
    pub(crate) fn arrival(&self) -> Arrival {
        Arrival { shared: Arc::clone(&self.shared), grant: self.grant }
    }

    /// The provider is done with the call; the tokens that it used, where they are known.
    pub(crate) fn finish(mut self, tokens: Option<u64>) {
        self.end(Ending::Certain { tokens });
    }

    /// It never left.
    pub(crate) fn unsent(mut self) {
        self.end(Ending::Unsent);
    }

    /// The provider refused it: its key rests.
    pub(crate) fn rest(mut self, rest: Duration) {
        let key = self.grant.key;
        self.shared.gauges.rests(key);
        self.shared.step(|pool, now| pool.rest(key, now + rest));
        self.end(Ending::Refused);
    }

    /// The provider does not take its key.
    pub(crate) fn deny(mut self, rest: Duration) {
        let key = self.grant.key;
        self.shared.gauges.denied(key);
        self.shared.step(|pool, now| pool.deny(key, now + rest));
        self.end(Ending::Refused);
    }

    fn end(&mut self, ending: Ending) {
        let was = std::mem::replace(&mut self.state, State::Ended);
        if was == State::Ended {
            return;
        }
        let grant = self.grant;
        let now = self.shared.clock.now();
        let (arrived, ended) = match ending {
            Ending::Uncertain => (now + TRANSIT_MAX, now + ENDING_MAX),
            _ => (now, now),
        };
        match ending {
            Ending::Certain { tokens: Some(used) } => self.record.tokens = used,
            Ending::Refused => self.record.tokens = 0,
            _ => {}
        }
        self.record.arrived.get_or_insert(arrived);
        self.record.ended = Some(ended);
        if let (Some(slot), Some(journal)) = (self.slot.take(), &self.shared.journals[grant.key]) {
            match ending {
                Ending::Unsent => journal.erase(slot),
                _ => journal.finish(slot, &self.record),
            }
        }
        if was == State::Dispatched {
            self.shared.gauges.called(grant.key, -1.0);
        }
        self.shared.step(|pool, now| pool.ended(now, grant, ending));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let ending = if self.state == State::Granted { Ending::Unsent } else { Ending::Uncertain };
        self.end(ending);
    }
}

/// Hears how far a request has come.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    shared: Arc<Shared>,
    grant: Grant,
}

impl Arrival {
    /// It was written to an established connection.
    pub(crate) fn sent(&self) {
        let grant = self.grant;
        self.shared.step(|pool, now| pool.sent(now, grant));
    }

    /// Its response began.
    pub(crate) fn answered(&self) {
        let grant = self.grant;
        self.shared.step(|pool, now| pool.answered(now, grant));
    }
}
