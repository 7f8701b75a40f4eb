//! One API key: its limits, its faults, and what it did.

use std::{sync::Arc, time::Instant};

use parking_lot::Mutex;

use super::limits::{Limits, Meter, Past};
use crate::{
    changes::Changes,
    counts::KeyCounts,
    faults::{Dice, Fate, Faults},
};

/// A key that the provider knows.
#[derive(Debug)]
pub(crate) struct Key {
    state: Mutex<State>,
    changes: Changes,
}

#[derive(Debug)]
struct State {
    meter: Meter,
    counts: KeyCounts,
    dice: Dice,
}

impl Key {
    pub(crate) fn new(limits: Limits, seed: u64, changes: Changes) -> Self {
        let state =
            State { meter: Meter::new(limits), counts: KeyCounts::default(), dice: Dice::new(Faults::default(), seed) };
        Self { state: Mutex::new(state), changes }
    }

    /// A request shows this key.
    pub(crate) fn arrive(self: &Arc<Self>) -> Result<Place, Past> {
        let arrived = self.change(|state| {
            state.counts.requests += 1;
            let arrived = state.meter.arrive(Instant::now());
            state.note(arrived)
        });
        arrived.map(|()| Place { key: Arc::clone(self), ended: false })
    }

    pub(crate) fn set_limits(&self, limits: Limits) {
        self.change(|state| state.meter.set(limits));
    }

    pub(crate) fn limits(&self) -> Limits {
        self.state.lock().meter.limits().clone()
    }

    pub(crate) fn set_faults(&self, faults: Faults) {
        self.state.lock().dice.set(faults);
    }

    /// The fate that this key's own faults give a call, if they do.
    pub(crate) fn fate(&self) -> Option<Fate> {
        self.state.lock().dice.throw(Instant::now())
    }

    pub(crate) fn counts(&self) -> KeyCounts {
        let state = self.state.lock();
        KeyCounts { in_flight: state.meter.in_flight(), ..state.counts.clone() }
    }

    pub(crate) fn reset(&self) {
        self.change(|state| state.counts = KeyCounts::default());
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.state.lock());
        self.changes.ring();
        changed
    }
}

impl State {
    fn note(&mut self, taken: Result<(), Past>) -> Result<(), Past> {
        if let Err(past) = &taken {
            self.counts.refused += 1;
            *self.counts.refused_by.entry(past.limit.to_owned()).or_default() += 1;
        }
        self.counts.in_flight_max = self.counts.in_flight_max.max(self.meter.in_flight());
        self.counts.in_window_max = self.counts.in_window_max.max(self.meter.in_window());
        taken
    }
}

/// A request in hand. It ends when this is dropped: in full, with an error, or broken off.
#[derive(Debug)]
pub(crate) struct Place {
    key: Arc<Key>,
    ended: bool,
}

impl Place {
    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    /// Its prompt was read.
    pub(crate) fn read(&self, tokens: u64) -> Result<(), Past> {
        self.key.change(|state| {
            let read = state.meter.read(Instant::now(), tokens);
            state.counts.prompt_tokens += if read.is_ok() { tokens } else { 0 };
            state.note(read)
        })
    }

    /// A part of its answer was written.
    pub(crate) fn write(&self, tokens: u64) {
        self.key.change(|state| {
            state.meter.write(Instant::now(), tokens);
            state.counts.completion_tokens += tokens;
        });
    }

    /// It was answered in full.
    pub(crate) fn answered(self) {
        self.end(|counts| counts.answered += 1);
    }

    /// It was answered with an error.
    pub(crate) fn failed(self) {
        self.end(|counts| counts.errors += 1);
    }

    /// A limit refused it after it had arrived.
    pub(crate) fn refused(self) {
        self.end(|_| {});
    }

    fn end(mut self, count: impl FnOnce(&mut KeyCounts)) {
        self.ended = true;
        self.key.change(|state| {
            state.meter.leave();
            count(&mut state.counts);
        });
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.ended {
            self.key.change(|state| {
                state.meter.leave();
                state.counts.broken_off += 1;
            });
        }
    }
}
