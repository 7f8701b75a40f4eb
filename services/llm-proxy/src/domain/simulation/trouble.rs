//! What happens to the process: it dies, it stands still, its keys change.

use std::time::Duration;

use rand::RngExt;

use super::{
    callers::Call,
    ms,
    travel::Flight,
    world::{Event, World},
};
use crate::domain::{ENDING_MAX, Lane, Past, Record};

impl World {
    pub(super) fn plan_trouble(&mut self) {
        for _ in 0..self.rng.random_range(0..3) {
            let at = self.between(ms(500), ms(12_000));
            self.at(at, Event::Restart);
        }
        for _ in 0..self.rng.random_range(0..4) {
            let at = self.between(ms(500), ms(12_000));
            self.at(at, Event::KeysChange);
        }
        if self.rng.random_bool(0.5) {
            let key = self.rng.random_range(0..self.providers.len());
            let (from, for_) = (self.between(ms(500), ms(8_000)), self.between(ms(500), ms(6_000)));
            self.at(from, Event::Revoked(key, true));
            self.at(from + for_, Event::Revoked(key, false));
            self.injected("key revoked");
        }
    }

    /// A key is taken away or given back; or the process stands still for a while.
    pub(super) fn keys_change(&mut self) {
        if self.rng.random_bool(0.3) {
            self.still_until = self.now + self.between(ms(10), ms(1_500));
            return self.injected("process paused");
        }
        let key = self.rng.random_range(0..self.in_use.len());
        self.in_use[key] = !self.in_use[key];
        self.rests[key] = Duration::ZERO;
        if !self.in_use.contains(&true) {
            self.in_use[0] = true;
        }
        self.injected("keys changed");
        self.set_keys(None);
    }

    /// The process dies, and the next one starts; or the machine does, and takes its connections and its clock with it.
    pub(super) fn restart(&mut self) {
        self.injected("restart");
        let machine = self.rng.random_bool(0.2);
        let open: Vec<_> = (0..self.flights.len()).filter(|flight| self.flights[*flight].ours).collect();
        for flight in open {
            let Flight { key, lane, need, .. } = self.flights[flight];
            self.journal[key].push(Record { lane: Some(Lane(lane)), used: need, ..Record::default() });
            self.abandon(flight);
            if machine {
                self.vanishes(flight);
            }
        }
        self.waiting.clear();
        self.key_of.clear();
        self.calls.iter_mut().filter(|call| !call.is_coming()).for_each(Call::give_up);
        if machine {
            self.injected("machine restarted");
        }
        self.start(machine.then_some(Past::Lost(self.now)));
        // What was open is over from here on, for the next process too.
        let over = self.now + ENDING_MAX;
        for record in self.journal.iter_mut().flatten() {
            record.arrived.get_or_insert(over);
            record.ended.get_or_insert(over);
        }
    }
}
