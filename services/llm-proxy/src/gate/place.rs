use std::{sync::Arc, time::Duration};

use super::{
    Shared,
    desk::Desk,
    journal::{Mark, Slot},
};
use crate::domain::{ENDING_MAX, Ending, Grant, KeyId, Need, Pool, Record, TRANSIT_MAX, Ticket, Usage};

/// A place with a key. It is given back when this is dropped: unused before [`Place::dispatch`], else as a call that was
/// given up, unless its end was told.
#[derive(Debug)]
pub(crate) struct Place {
    shared: Arc<Shared>,
    desk: Arc<Desk>,
    grant: Grant,
    mark: Mark,
    slot: Option<Slot>,
    record: Record,
    hold: Hold,
    /// Its answer has begun: from there the call costs, however it ends.
    begun: bool,
    state: State,
}

/// How long a place is good for a call that has not left.
#[derive(Debug, Clone, Copy)]
struct Hold {
    /// What was granted by a lease is good for as long.
    good_until: Duration,
    /// The key's setbacks when it was granted.
    setbacks: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Granted,
    Dispatched,
    Ended,
}

impl Hold {
    /// Whether the key is as well as when it was granted, and what was granted is still there.
    fn is_good(self, shared: &Shared, desk: &Desk) -> bool {
        self.setbacks == desk.setbacks() && shared.clock.now() < self.good_until
    }
}

impl Place {
    pub(super) fn new(shared: Arc<Shared>, desk: Arc<Desk>, mark: Mark, grant: Grant, good_until: Duration) -> Self {
        let hold = Hold { good_until, setbacks: desk.setbacks() };
        Self {
            shared,
            desk,
            grant,
            mark,
            slot: None,
            record: Record::default(),
            hold,
            begun: false,
            state: State::Granted,
        }
    }

    /// The name of its key.
    pub(crate) fn key(&self) -> &Arc<str> {
        &self.desk.name
    }

    /// The call's place in the order, to come again with.
    pub(crate) fn ticket(&self) -> Ticket {
        self.grant.ticket
    }

    /// Whether it may be handed over.
    pub(super) fn holds_good(&self) -> bool {
        self.hold.is_good(&self.shared, &self.desk)
    }

    /// The request goes out now. What is kept of it, is kept before.
    pub(crate) fn dispatch(&mut self, need: Need) {
        self.state = State::Dispatched;
        self.record = Record { used: need, ..Record::default() };
        if let Some(journal) = self.desk.journal() {
            self.slot = journal.begin(self.shared.clock.now(), &self.record, self.mark);
        }
        self.desk.gauges.called(1.0);
    }

    /// What hears of the request's arrival.
    pub(crate) fn arrival(&self) -> Arrival {
        let (shared, desk) = (Arc::clone(&self.shared), Arc::clone(&self.desk));
        Arrival { shared, desk, grant: self.grant.clone(), hold: self.hold }
    }

    /// The provider took the key: its answer has begun. Heard once.
    pub(crate) fn taken(&mut self) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        // Of a key that was refused since, a call from before says nothing.
        if self.hold.setbacks == self.desk.setbacks() {
            self.desk.gauges.taken();
        }
        self.shared.step(|pool, now| pool.taken(now, &self.grant));
    }

    /// The answer has so many tokens so far, at least. Past what was set aside for it, more is.
    pub(crate) fn writes(&mut self, output: u64) {
        if output <= self.record.used.output {
            return;
        }
        // A part more, so that not each token is an event.
        let output = output.saturating_add(output / 4);
        self.record.used.output = output;
        self.shared.step(|pool, now| pool.writes(now, &self.grant, output));
    }

    /// The provider is done with the call; what it used, where that is known.
    pub(crate) fn finish(mut self, usage: Option<Usage>) {
        let used = usage.map(|usage| Need { input: usage.input_tokens, output: usage.output_tokens });
        self.end(Ending::Certain { used });
    }

    /// Whether its answer has begun.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun
    }

    /// The provider did nothing of what was asked, or no more.
    pub(crate) fn stopped(self) {
        let nothing = (!self.begun).then(Usage::default);
        self.finish(nothing);
    }

    /// The provider turned it away, which says nothing of how its key is now.
    pub(crate) fn turned_away(mut self) {
        self.end(self.refused());
    }

    /// It never left.
    pub(crate) fn unsent(mut self) {
        self.end(Ending::Unsent);
    }

    /// The provider refused it: its key rests.
    pub(crate) fn rest(mut self, rest: Duration) {
        self.desk.gauges.rests();
        self.set_back(|pool, now, key| pool.rest(now, key, now + rest));
        self.end(self.refused());
    }

    /// The provider does not take its key.
    pub(crate) fn deny(mut self, rest: Duration) {
        self.desk.gauges.denied();
        self.set_back(|pool, now, key| pool.deny(now, key, now + rest));
        self.end(self.refused());
    }

    /// The provider forbids it, which may be its only key's fault: where it forbids one call after the other, that key is left
    /// alone, for the shorter time at first, and for the longer one at most. Says for how long.
    pub(crate) fn doubt(mut self, rests: (Duration, Duration)) -> Option<Duration> {
        let rest = self.shared.step(|pool, now| {
            let rest = pool.doubt(now, self.grant.key, rests)?;
            self.desk.set_back();
            Some(rest)
        });
        if rest.is_some() {
            self.desk.gauges.denied();
        }
        self.end(self.refused());
        rest
    }

    /// How it ends where the provider refuses it: what was written before that has cost.
    fn refused(&self) -> Ending {
        if self.begun { Ending::Certain { used: None } } else { Ending::Refused }
    }

    fn set_back(&self, how: impl FnOnce(&mut Pool, Duration, KeyId)) {
        self.shared.step(|pool, now| {
            self.desk.set_back();
            how(pool, now, self.grant.key);
        });
    }

    fn end(&mut self, ending: Ending) {
        let was = std::mem::replace(&mut self.state, State::Ended);
        if was == State::Ended {
            return;
        }
        let now = self.shared.clock.now();
        let (arrived, ended) = match ending {
            Ending::Uncertain => (now + TRANSIT_MAX, now + ENDING_MAX),
            _ => (now, now),
        };
        match ending {
            Ending::Certain { used: Some(used) } => self.record.used = used,
            Ending::Refused => self.record.used = Need::default(),
            _ => {}
        }
        self.record.arrived.get_or_insert(arrived);
        self.record.ended = Some(ended);
        if let (Some(slot), Some(journal)) = (self.slot.take(), self.desk.journal()) {
            match ending {
                Ending::Unsent => journal.erase(&slot),
                _ => journal.finish(&slot, &self.record),
            }
        }
        if was == State::Dispatched {
            self.desk.gauges.called(-1.0);
        }
        self.shared.step(|pool, now| pool.ended(now, &self.grant, ending));
        self.shared.changed.notify_one();
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
    desk: Arc<Desk>,
    grant: Grant,
    hold: Hold,
}

impl Arrival {
    /// Whether it may still be written: connecting takes time, in which its key can go to rest and its lease can end.
    pub(crate) fn may_leave(&self) -> bool {
        self.hold.is_good(&self.shared, &self.desk)
    }

    /// It was written to an established connection.
    pub(crate) fn sent(&self) {
        self.shared.step(|pool, now| pool.sent(now, &self.grant));
    }

    /// Its response began.
    pub(crate) fn answered(&self) {
        self.shared.step(|pool, now| pool.answered(now, &self.grant));
    }
}
