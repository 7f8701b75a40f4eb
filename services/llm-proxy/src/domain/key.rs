//! One API key: what of its limits is in use, and whether it is well.
//!
//! Invariants:
//! - A call takes from all meters that concern it (the key's own, and those for its model), or from none.
//! - A request counts against the window until one window after its arrival is certain: at the response's head, or
//!   [`TRANSIT_MAX`] after it was written, whichever comes first. Until then it counts without an end.
//! - A place is free when its call's end is certain, or [`ENDING_MAX`] after the call was given up.

mod health;
mod past;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use self::health::Health;
pub(crate) use self::{
    health::State,
    past::{DailyUse, Days, Past, Record},
};
use super::{
    meter::{Book, Held, Kind, Meter},
    pool::{CallId, Lane, Need},
};
use crate::config::ModelLimits;

/// A request that was written to an established connection has arrived after this long. The limits hold within it.
pub(crate) const TRANSIT_MAX: Duration = Duration::from_millis(500);
/// A call that was given up has ended at the provider after this long.
pub(crate) const ENDING_MAX: Duration = Duration::from_secs(1);

/// What the provider allows a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Over all models.
    pub(crate) own: ModelLimits,
    /// For single upstream models, beside that.
    pub(crate) models: BTreeMap<String, ModelLimits>,
    /// What counts as a minute. A day has 1,440 of them.
    pub(crate) window: Duration,
}

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

/// Whether a call could start with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// So many of its size could: one at least.
    Calls(u64),
    /// Not by the limits of its model, though the key's own would let it.
    Model,
    /// Not by the key's own limits.
    Own,
    /// The key rests.
    Away,
}

#[derive(Debug)]
pub(crate) struct Key {
    pub(super) name: Arc<str>,
    window: Duration,
    concurrency: Option<u64>,
    own: Book,
    models: BTreeMap<Lane, Book>,
    calls: HashMap<CallId, Call>,
    /// What becomes certain by time alone, by the time.
    due: BTreeSet<(Duration, CallId, Due)>,
    places: u32,
    health: Health,
}

#[derive(Debug)]
struct Call {
    since: Duration,
    lane: Lane,
    need: Need,
    own: Held,
    model: Held,
    arrived: Option<Duration>,
    ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Arrival,
    End,
}

impl Key {
    /// A key without limits.
    pub(crate) fn new(name: Arc<str>) -> Self {
        Self {
            name,
            window: Duration::ZERO,
            concurrency: None,
            own: Book::default(),
            models: BTreeMap::new(),
            calls: HashMap::new(),
            due: BTreeSet::new(),
            places: 0,
            health: Health::default(),
        }
    }

    /// Its limits from here on, those for single models by their lanes. What was used of limits that there were stays used;
    /// new ones go by what is known.
    pub(crate) fn set(
        &mut self,
        limits: &Limits,
        models: Vec<(Lane, ModelLimits)>,
        (past, days): (&Past, &Days),
        now: Duration,
    ) {
        (self.window, self.concurrency) = (limits.window, limits.own.concurrency.map(u64::from));
        let fresh = self.own.set(&limits.own, limits.window);
        let mut latest = past.enter(&mut self.own, &fresh, None, now);
        days.enter(past, &mut self.own, &fresh, None, now);
        for call in self.calls.values_mut() {
            self.own.take_again(now, &mut call.own, call.need, &fresh, call.arrived.is_some());
        }
        self.models.retain(|lane, _| models.iter().any(|(known, _)| known == lane));
        for (lane, of_model) in models {
            let book = self.models.entry(lane).or_default();
            let fresh = book.set(&of_model, limits.window);
            latest = latest.max(past.enter(book, &fresh, Some(lane), now));
            days.enter(past, book, &fresh, Some(lane), now);
            for call in self.calls.values_mut().filter(|call| call.lane == lane) {
                book.take_again(now, &mut call.model, call.need, &fresh, call.arrived.is_some());
            }
        }
        if latest > now {
            self.health.pause(latest);
        }
    }

    /// Lets time pass.
    pub(crate) fn advance(&mut self, now: Duration) {
        while let Some(&(at, id, due)) = self.due.first() {
            if at > now {
                break;
            }
            self.due.pop_first();
            match due {
                Due::Arrival => self.arrive(at, id),
                Due::End => self.end(at, id, None),
            }
        }
        self.health.advance(now, self.window);
    }

    /// When time alone changes something, after this time.
    pub(crate) fn next_change(&self, after: Duration) -> Option<Duration> {
        let due = self.due.first().map(|(at, _, _)| *at);
        let frees = std::iter::once(&self.own).chain(self.models.values()).filter_map(|book| book.next_free(after));
        frees.chain(due).chain(self.health.next_change(after, self.window)).min()
    }

    /// Whether a call of this size could start now, as far as it is known.
    pub(crate) fn room(&mut self, now: Duration, lane: Lane, need: Need) -> Room {
        self.advance(now);
        if now < self.health.usable_at() {
            return Room::Away;
        }
        let own = self.health.headroom(now).min(self.own.headroom(now, need));
        let model = self.models.get_mut(&lane).map_or(u64::MAX, |book| book.headroom(now, need));
        match (own, model) {
            (0, _) => Room::Own,
            (_, 0) => Room::Model,
            (own, model) => Room::Calls(own.min(model)),
        }
    }

    /// Takes a place for a call. There must be room.
    pub(crate) fn take(&mut self, now: Duration, id: CallId, lane: Lane, need: Need) {
        let own = self.own.take(now, need);
        let model = self.models.get_mut(&lane).map(|book| book.take(now, need)).unwrap_or_default();
        self.places += 1;
        self.health.started();
        self.calls.insert(id, Call { since: now, lane, need, own, model, arrived: None, ended: false });
    }

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

    /// The provider says that it has to wait until this time.
    pub(crate) fn rest(&mut self, until: Duration) {
        self.health.rest(until);
    }

    /// The provider does not take it. It is tried again after this time, by one call.
    pub(crate) fn deny(&mut self, until: Duration) {
        self.health.deny(until);
    }

    /// It has another secret: the next call shows what it is worth.
    pub(crate) fn renew(&mut self, now: Duration) {
        self.health.renew(now);
    }

    /// No call starts before this time.
    pub(crate) fn usable_at(&self) -> Duration {
        self.health.usable_at()
    }

    pub(crate) fn is_denied(&self) -> bool {
        self.health.is_denied()
    }

    pub(crate) fn state(&self, now: Duration) -> State {
        self.health.state(now)
    }

    pub(crate) fn window(&self) -> Duration {
        self.window
    }

    /// Calls at the provider, as far as is known.
    pub(crate) fn places(&self) -> u32 {
        self.places
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.calls.is_empty()
    }

    /// What the last day holds, to be kept.
    pub(crate) fn days(&self) -> Vec<DailyUse> {
        let of_models = self.models.iter().map(|(lane, book)| (Some(*lane), book));
        let books = std::iter::once((None, &self.own)).chain(of_models);
        let day = |lane: Option<Lane>, (kind, meter): (Kind, &Meter)| DailyUse {
            lane,
            kind,
            slices: meter.frees().collect(),
        };
        let daily = |(lane, book): (Option<Lane>, &'_ Book)| {
            book.meters().filter(|(kind, _)| kind.is_daily()).map(|meter| day(lane, meter)).collect::<Vec<_>>()
        };
        books.flat_map(daily).collect()
    }

    /// The meters over all models.
    pub(crate) fn own(&self) -> impl Iterator<Item = (Kind, &Meter)> {
        self.own.meters()
    }

    /// The meters for one model.
    pub(crate) fn of_model(&self, lane: Lane) -> impl Iterator<Item = (Kind, &Meter)> {
        self.models.get(&lane).into_iter().flat_map(Book::meters)
    }

    fn arrive(&mut self, now: Duration, id: CallId) {
        let Some(call) = self.calls.get_mut(&id).filter(|call| call.arrived.is_none()) else { return };
        call.arrived = Some(now);
        self.own.arrive(now, &call.own);
        if let Some(book) = self.models.get_mut(&call.lane) {
            book.arrive(now, &call.model);
        }
        self.forget(id);
    }

    fn end(&mut self, now: Duration, id: CallId, used: Option<Need>) {
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
