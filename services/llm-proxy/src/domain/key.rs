//! One API key: what of its limits is in use, and whether it is well.
//!
//! Invariants:
//! - A call takes from all meters that concern it (the key's own, and those for its model), or from none.
//! - A request counts against the window until one window after its arrival is certain: at the response's head, or
//!   [`TRANSIT_MAX`] after it was written, whichever comes first. Until then it counts without an end.
//! - A place is free when its call's end is certain, or [`ENDING_MAX`] after the call was given up.

mod call;
mod health;
mod past;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

pub(crate) use self::{
    call::Ending,
    health::State,
    past::{DailyUse, Days, Past, Record},
};
use self::{
    call::{Call, Due},
    health::Health,
};
use super::{
    meter::{Book, Kind, Meter},
    pool::{CallId, Lane, Need, Shares},
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
    /// How its limits are shared with other processes, where they are.
    pub(super) shares: Option<Shares>,
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

impl Key {
    /// A key without limits.
    pub(crate) fn new(name: Arc<str>) -> Self {
        Self {
            name,
            shares: None,
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
        let fresh = self.own.set(&limits.own, limits.window, self.shares);
        let mut latest = past.enter(&mut self.own, &fresh, None, now);
        days.enter(past, &mut self.own, &fresh, None, now);
        for call in self.calls.values_mut() {
            self.own.take_again(now, &mut call.own, call.need, &fresh, call.arrived.is_some());
        }
        self.models.retain(|lane, _| models.iter().any(|(known, _)| known == lane));
        for (lane, of_model) in models {
            let book = self.models.entry(lane).or_default();
            let fresh = book.set(&of_model, limits.window, self.shares);
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

    /// What of a need it could give a call.
    pub(crate) fn most(&self, lane: Lane, need: Need) -> Need {
        self.own().chain(self.of_model(lane)).fold(need, |need, (kind, meter)| kind.most(need, meter.limit()))
    }

    /// Takes a place for a call. There must be room.
    pub(crate) fn take(&mut self, now: Duration, id: CallId, lane: Lane, need: Need) {
        let own = self.own.take(now, need);
        let model = self.models.get_mut(&lane).map(|book| book.take(now, need)).unwrap_or_default();
        self.places += 1;
        self.health.started();
        self.calls.insert(id, Call { since: now, lane, need, own, model, arrived: None, ended: false });
    }

    /// The provider says that it has to wait until this time.
    pub(crate) fn rest(&mut self, until: Duration) {
        self.health.rest(until);
    }

    /// The provider does not take it. It is tried again after this time, by one call.
    pub(crate) fn deny(&mut self, until: Duration) {
        self.health.deny(until);
    }

    /// The provider forbids something, perhaps for its fault: how long it is left alone, where it is.
    pub(crate) fn doubt(&mut self, now: Duration, rests: (Duration, Duration)) -> Option<Duration> {
        self.health.doubt(now, rests)
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

    /// All its books: its own, and those for models.
    pub(super) fn books(&self) -> impl Iterator<Item = &Book> {
        std::iter::once(&self.own).chain(self.models.values())
    }

    pub(super) fn books_mut(&mut self) -> impl Iterator<Item = (Option<Lane>, &mut Book)> {
        let of_models = self.models.iter_mut().map(|(lane, book)| (Some(*lane), book));
        std::iter::once((None, &mut self.own)).chain(of_models)
    }

    /// The meters for one model.
    pub(crate) fn of_model(&self, lane: Lane) -> impl Iterator<Item = (Kind, &Meter)> {
        self.models.get(&lane).into_iter().flat_map(Book::meters)
    }
}
