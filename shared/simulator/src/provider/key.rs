//! One API key: its limits, its faults, and what it did.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use parking_lot::Mutex;

use super::{
    calls::{CallEnd, Calls, ModelCall},
    limits::{Limits, Past},
    meter::{Meter, Rate},
    place::Place,
    tally::Tally,
};
use crate::{
    changes::Changes,
    counts::{KeyCounts, ModelCounts},
    faults::{Dice, Fate, Faults, Hint},
};

/// A key that the provider knows.
#[derive(Debug)]
pub(crate) struct Key {
    state: Mutex<State>,
    /// When the provider's clock began.
    began: Instant,
    changes: Changes,
}

#[derive(Debug)]
pub(super) struct State {
    limits: Limits,
    own: Meter,
    /// Of the models that have limits of their own.
    models: BTreeMap<String, Meter>,
    tally: Tally,
    tallies: BTreeMap<String, (u64, Tally)>,
    pub(super) counts: KeyCounts,
    pub(super) calls: Calls,
    last_request: Bytes,
    dice: Dice,
}

impl Key {
    pub(crate) fn new(limits: Limits, seed: u64, calls_max: usize, began: Instant, changes: Changes) -> Self {
        let window = *limits.window;
        let mut state = State {
            own: Meter::new(limits.own(), window),
            limits: Limits::default(),
            models: BTreeMap::new(),
            tally: Tally::new(window),
            tallies: BTreeMap::new(),
            counts: KeyCounts::default(),
            calls: Calls::new(calls_max),
            last_request: Bytes::new(),
            dice: Dice::new(Faults::default(), seed),
        };
        state.set(limits);
        Self { state: Mutex::new(state), began, changes }
    }

    /// A request shows this key.
    pub(crate) fn arrive(self: &Arc<Self>) -> Result<Place, Past> {
        self.change(|state, now, at| state.arrive(now, at)).map(|number| Place::new(Arc::clone(self), number))
    }

    pub(crate) fn set_limits(&self, limits: Limits) {
        self.change(|state, _, _| state.set(limits));
    }

    pub(crate) fn limits(&self) -> Limits {
        self.state.lock().limits.clone()
    }

    pub(crate) fn set_faults(&self, faults: Faults) {
        self.state.lock().dice.set(faults);
    }

    /// The fate that this key's own faults give a call, if they do.
    pub(crate) fn fate(&self) -> Option<Fate> {
        self.state.lock().dice.throw(Instant::now())
    }

    /// How its refusals say when to come back, where that is not as usual.
    pub(crate) fn hint(&self) -> Option<Hint> {
        self.state.lock().dice.faults().hint
    }

    /// What is left of its limits: over all models, or with one that has limits of its own.
    pub(crate) fn rates(&self, model: &str) -> Vec<Rate> {
        let mut state = self.state.lock();
        let now = Instant::now();
        let mut rates = state.models.get_mut(model).map(|meter| meter.rates(now)).unwrap_or_default();
        for rate in state.own.rates(now) {
            if rates.iter().all(|known| known.kind != rate.kind) {
                rates.push(rate);
            }
        }
        rates
    }

    pub(crate) fn counts(&self) -> KeyCounts {
        let state = self.state.lock();
        let models = state.tallies.iter();
        let models = models
            .map(|(name, (requests, tally))| (name.clone(), ModelCounts { requests: *requests, most: tally.most() }));
        let most = state.tally.most();
        KeyCounts { in_flight: state.own.in_flight(), most, models: models.collect(), ..state.counts.clone() }
    }

    /// The newest calls, oldest first.
    pub(crate) fn calls(&self) -> Vec<ModelCall> {
        self.state.lock().calls.all()
    }

    /// The body of the last request that arrived.
    pub(crate) fn last_request(&self) -> Bytes {
        self.state.lock().last_request.clone()
    }

    pub(crate) fn reset(&self) {
        self.change(|state, _, _| {
            state.counts = KeyCounts::default();
            state.calls.forget();
            state.tally.reset();
            state.tallies.values_mut().for_each(|(requests, tally)| {
                *requests = 0;
                tally.reset();
            });
        });
    }

    /// Changes something at this moment, which is also given by the provider's clock.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State, Instant, u64) -> T) -> T {
        let changed = {
            let mut state = self.state.lock();
            // Under the lock, so that times follow each other as what they are noted for.
            let now = Instant::now();
            change(&mut state, now, micros(now - self.began))
        };
        self.changes.ring();
        changed
    }
}

impl State {
    fn set(&mut self, limits: Limits) {
        let window = *limits.window;
        self.own.set(limits.own(), window);
        self.tally.set(window);
        self.tallies.values_mut().for_each(|(_, tally)| tally.set(window));
        self.models.retain(|name, _| limits.models.contains_key(name));
        for (name, of_model) in &limits.models {
            let meter = self.models.entry(name.clone()).or_default();
            meter.set(of_model.clone(), window);
        }
        self.limits = limits;
    }

    fn arrive(&mut self, now: Instant, at_us: u64) -> Result<u64, Past> {
        self.counts.requests += 1;
        self.tally.arrive(now);
        let number = self.calls.arrive(at_us);
        let admitted = self.own.admits(now);
        if admitted.is_ok() {
            self.own.arrive(now);
        }
        self.judged(number, admitted)?;
        self.counts.in_flight_max = self.counts.in_flight_max.max(self.own.in_flight());
        self.counts.in_window_max = self.counts.in_window_max.max(self.own.in_window());
        Ok(number)
    }

    /// A prompt of so many tokens for a model. Of refused ones only the strict count keeps something.
    pub(super) fn read(&mut self, now: Instant, call: &ModelCall, body: Bytes) -> Result<(), Past> {
        let ModelCall { number, model, input_tokens: tokens, .. } = call;
        self.last_request = body;
        self.tally.read(now, *tokens);
        let (requests, tally) =
            self.tallies.entry(model.clone()).or_insert_with(|| (0, Tally::new(*self.limits.window)));
        *requests += 1;
        tally.arrive(now);
        tally.read(now, *tokens);
        self.calls.note(*number, |kept| {
            kept.model.clone_from(model);
            kept.mark.clone_from(&call.mark);
            kept.input_tokens = *tokens;
        });
        let mut admitted = self.own.admits_tokens(now, *tokens);
        if let Some(meter) = self.models.get_mut(model) {
            admitted = admitted.and_then(|()| meter.admits(now)).and_then(|()| meter.admits_tokens(now, *tokens));
        }
        self.judged(*number, admitted)?;
        self.own.read(now, *tokens);
        if let Some(meter) = self.models.get_mut(model) {
            meter.arrive(now);
            meter.read(now, *tokens);
        }
        self.counts.prompt_tokens += tokens;
        Ok(())
    }

    pub(super) fn write(&mut self, now: Instant, number: u64, model: &str, tokens: u64) {
        self.own.write(now, tokens);
        self.tally.write(now, tokens);
        if let Some(meter) = self.models.get_mut(model) {
            meter.write(now, tokens);
        }
        if let Some((_, tally)) = self.tallies.get_mut(model) {
            tally.write(now, tokens);
        }
        self.counts.completion_tokens += tokens;
        self.calls.note(number, |call| call.output_tokens += tokens);
    }

    /// A call leaves; the model's place too, where it was let in there.
    pub(super) fn leave(&mut self, at_us: u64, number: u64, model: Option<&str>, end: CallEnd) {
        self.own.leave();
        if let Some(meter) = model.and_then(|model| self.models.get_mut(model)).filter(|meter| meter.in_flight() > 0) {
            meter.leave();
        }
        self.calls.note(number, |call| (call.ended_us, call.end) = (Some(at_us), end));
    }

    fn judged(&mut self, number: u64, admitted: Result<(), Past>) -> Result<(), Past> {
        if let Err(past) = &admitted {
            self.counts.refused += 1;
            *self.counts.refused_by.entry(past.limit.to_owned()).or_default() += 1;
            self.calls.note(number, |call| {
                (call.end, call.ended_us) = (CallEnd::Refused, Some(call.at_us));
                call.refused_by = Some(past.limit.to_owned());
            });
        }
        admitted
    }
}

/// A time of the provider's clock.
pub(super) fn micros(since: Duration) -> u64 {
    since.as_micros().try_into().unwrap_or(u64::MAX)
}
