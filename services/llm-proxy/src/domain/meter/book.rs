//! The meters of one set of limits: a key's own, or those that it has with one model.

use std::time::Duration;

use super::{Kind, Meter, Parts};
use crate::{
    config::ModelLimits,
    domain::pool::{Need, Shares},
};

/// Takes from all of its meters, or from none.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// In the order of [`Kind::ALL`]; where there is no limit, there is nothing to count.
    meters: [Option<Meter>; Kind::ALL.len()],
}

/// What a call holds of a book.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Held([Parts; Kind::ALL.len()]);

impl Book {
    /// Other limits from here on; which of them are new, and know nothing of what was used.
    pub(crate) fn set(&mut self, limits: &ModelLimits, window: Duration, shares: Option<Shares>) -> Vec<Kind> {
        let mut fresh = Vec::new();
        for (kind, meter) in Kind::ALL.into_iter().zip(&mut self.meters) {
            match (kind.limit(limits), meter.as_mut()) {
                (None, _) => *meter = None,
                (Some(limit), Some(meter)) => meter.set(kind, limit, window, shares),
                (Some(limit), None) => {
                    *meter = Some(Meter::new(kind, limit, window, shares));
                    fresh.push(kind);
                }
            }
        }
        fresh
    }

    pub(crate) fn meters(&self) -> impl Iterator<Item = (Kind, &Meter)> {
        Kind::ALL.into_iter().zip(&self.meters).filter_map(|(kind, meter)| Some((kind, meter.as_ref()?)))
    }

    pub(crate) fn meters_mut(&mut self) -> impl Iterator<Item = (Kind, &mut Meter)> {
        Kind::ALL.into_iter().zip(&mut self.meters).filter_map(|(kind, meter)| Some((kind, meter.as_mut()?)))
    }

    /// How many calls of this size could start now.
    pub(crate) fn headroom(&mut self, now: Duration, need: Need) -> u64 {
        let calls = |(kind, meter): (Kind, &mut Meter)| {
            let wanted = kind.parts(need).within(meter.limit()).sum();
            let nothing_needed = if meter.limit() == 0 { 0 } else { u64::MAX };
            meter.available(now).checked_div(wanted).unwrap_or(nothing_needed)
        };
        self.meters_mut().map(calls).min().unwrap_or(u64::MAX)
    }

    pub(crate) fn take(&mut self, now: Duration, need: Need) -> Held {
        let mut held = Held::default();
        for (kind, meter) in self.meters_mut() {
            held.0[kind as usize] = meter.hold(now, kind, need);
        }
        held
    }

    /// A call is at work already, and some meters are new: it takes from these too, and for the time since its arrival as
    /// if it arrived now.
    pub(crate) fn take_again(&mut self, now: Duration, held: &mut Held, need: Need, fresh: &[Kind], arrived: bool) {
        for (kind, meter) in self.meters_mut().filter(|(kind, _)| fresh.contains(kind)) {
            let parts = meter.hold(now, kind, need);
            held.0[kind as usize] = parts;
            if arrived {
                meter.arrive(now, parts.at_arrival);
            }
        }
    }

    /// A call writes more than it was thought to.
    pub(crate) fn grow(&mut self, now: Duration, held: &mut Held, more: u64) {
        let more = Need { input: 0, output: more };
        for (kind, meter) in self.meters_mut().filter(|(kind, _)| *kind != Kind::Concurrency) {
            let parts = kind.parts(more);
            meter.reserve(now, parts.at_end);
            let at_end = &mut held.0[kind as usize].at_end;
            *at_end = at_end.saturating_add(parts.at_end);
        }
    }

    pub(crate) fn arrive(&mut self, now: Duration, held: &Held) {
        for (kind, meter) in self.meters_mut() {
            meter.arrive(now, held.of(kind).at_arrival);
        }
    }

    /// A call that arrived at that time has ended, and used so much; all that it holds, where that is not known.
    pub(crate) fn end(&mut self, now: Duration, held: &Held, arrived: Duration, used: Option<Need>) {
        for (kind, meter) in self.meters_mut() {
            let held = held.of(kind);
            let used = used.map_or(held, |used| kind.parts(used));
            meter.arrive(now, used.at_end.min(held.at_end));
            meter.release(now, held.at_end.saturating_sub(used.at_end));
            meter.correct(arrived, held.at_arrival.saturating_sub(used.at_arrival));
            let more = Parts {
                at_arrival: used.at_arrival.saturating_sub(held.at_arrival),
                at_end: used.at_end.saturating_sub(held.at_end),
            };
            meter.charge(now, more.sum());
        }
    }

    /// A call never left.
    pub(crate) fn never_was(&mut self, now: Duration, held: &Held) {
        for (kind, meter) in self.meters_mut() {
            meter.release(now, held.of(kind).sum());
        }
    }

    /// When time alone makes something free, after this time.
    pub(crate) fn next_free(&self, after: Duration) -> Option<Duration> {
        self.meters().filter_map(|(_, meter)| meter.next_free(after)).min()
    }
}

impl Held {
    fn of(&self, kind: Kind) -> Parts {
        self.0[kind as usize]
    }
}
