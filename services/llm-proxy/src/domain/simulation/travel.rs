//! A call on its way: to the provider, in its hands, and back.

use std::time::Duration;

use rand::RngExt;

use super::{
    Fault, ms,
    plan::Scene,
    verdict::Broken,
    world::{Event, World},
};
use crate::domain::{ENDING_MAX, Ending, Grant, Lane, Need, Record, TRANSIT_MAX};

#[derive(Debug)]
pub(super) struct Flight {
    call: usize,
    pub(super) key: usize,
    pub(super) lane: u16,
    pub(super) need: Need,
    real: Need,
    grant: Grant,
    /// The process follows it.
    pub(super) ours: bool,
    /// It was written.
    left: bool,
    arrived: bool,
    ended: bool,
    /// When the process gave it up.
    given_up: Option<Duration>,
    answered: Option<Duration>,
}

/// Parts in which an answer is written.
const PARTS: u64 = 3;
const QUARANTINE: Duration = Duration::from_secs(2);

impl World {
    /// A call has a key, and goes.
    pub(super) fn goes(&mut self, number: usize, grant: Grant) -> Result<(), Broken> {
        let key = *self.key_of.get(&grant.key).ok_or("a place with a key that was never there")?;
        if self.rests[key] > self.now {
            return Err("a key was used in its rest".into());
        }
        let call = &self.calls[number];
        let flight = self.flights.len();
        self.flights.push(Flight {
            call: number,
            key,
            lane: call.lane,
            need: call.need,
            real: call.real,
            grant,
            ours: true,
            left: false,
            arrived: false,
            ended: false,
            given_up: None,
            answered: None,
        });
        let soon = self.between(ms(0), self.plan.transit.min(ms(20)));
        if self.plan.scene == Scene::Storm && self.rng.random_bool(0.04) {
            self.injected("connection refused");
            self.at(soon, Event::Unsent(flight));
            return Ok(());
        }
        self.at(soon, Event::Sent(flight));
        if self.plan.scene == Scene::Storm && self.rng.random_bool(0.06) {
            let later = self.between(ms(0), ms(1_500));
            self.at(soon + later, Event::Breaks(flight));
        }
        Ok(())
    }

    pub(super) fn sent(&mut self, flight: usize) {
        // Who went away before it was written never sent it.
        if !self.flights[flight].ours {
            return;
        }
        self.flights[flight].left = true;
        let grant = self.flights[flight].grant.clone();
        self.pool.sent(self.now, &grant);
        if self.fault == Some(Fault::ArrivalAtSending) {
            self.pool.answered(self.now, &grant);
        }
        // As slow as may be, half of the time: that is what a bound is for.
        let transit = self.plan.transit;
        let transit = if self.rng.random_bool(0.5) { transit } else { self.between(ms(0), transit) };
        self.at(transit, Event::Arrives(flight));
    }

    pub(super) fn arrives(&mut self, flight: usize) -> Result<(), Broken> {
        let Flight { key, lane, real, given_up, left, .. } = self.flights[flight];
        if !left {
            return Ok(());
        }
        let back = self.between(ms(0), ms(20));
        if self.providers[key].revoked {
            self.at(back, Event::Denied(flight));
            return Ok(());
        }
        let storm = self.plan.scene == Scene::Storm;
        let lies = storm && self.rng.random_bool(0.03);
        self.flights[flight].arrived = true;
        let input = if lies { 0 } else { real.input };
        let arrived = self.providers[key].arrive(self.now, lane, input);
        arrived.map_err(|what| format!("the provider had to say 429: too many {what}"))?;
        if lies {
            self.injected("429");
            self.ends(flight);
            let rest = self.between(ms(50), ms(3_000));
            self.at(back, Event::Limited(flight, rest));
            return Ok(());
        }
        let (least, most) = self.plan.work;
        let mut work = self.between(least, most);
        if let Some(given_up) = given_up {
            work = work.min((given_up + ENDING_MAX).saturating_sub(self.now));
        }
        let head = self.between(ms(0), work);
        self.at(head, Event::Answers(flight));
        for part in 0..PARTS {
            let output = real.output / PARTS + u64::from(part < real.output % PARTS);
            self.at(work * part as u32 / PARTS as u32, Event::Writes(flight, output));
        }
        self.at(work, Event::Ends(flight));
        Ok(())
    }

    pub(super) fn writes(&mut self, flight: usize, output: u64) -> Result<(), Broken> {
        let Flight { key, lane, ended, .. } = self.flights[flight];
        if ended || output == 0 {
            return Ok(());
        }
        let written = self.providers[key].write(self.now, lane, output);
        written.map_err(|what| format!("the provider had to say 429: too many {what}"))
    }

    /// The provider is done with it.
    pub(super) fn ends(&mut self, flight: usize) {
        let Flight { key, lane, arrived, ended, ours, .. } = self.flights[flight];
        if !arrived || ended {
            return;
        }
        self.flights[flight].ended = true;
        self.providers[key].end(lane);
        if ours {
            let back = self.between(ms(0), self.plan.transit.min(ms(20)));
            self.at(back, Event::Ended(flight));
        }
    }

    pub(super) fn answers(&mut self, flight: usize) {
        let Flight { ours, real, .. } = self.flights[flight];
        if !ours {
            return;
        }
        self.flights[flight].answered.get_or_insert(self.now);
        let grant = self.flights[flight].grant.clone();
        self.pool.answered(self.now, &grant);
        self.pool.taken(self.now, &grant);
        if self.fault == Some(Fault::PlaceGivenTwice) {
            self.pool.ended(self.now, &grant, Ending::Certain { used: Some(real) });
        }
    }

    pub(super) fn ended(&mut self, flight: usize) -> Result<(), Broken> {
        let Flight { ours, call, real, need, .. } = self.flights[flight];
        if !ours {
            return Ok(());
        }
        let counted = self.plan.scene != Scene::Storm || self.rng.random_bool(0.95);
        let used = Some(real).filter(|_| counted && self.fault != Some(Fault::SettlementForgotten));
        self.lands(flight, Ending::Certain { used }, used.unwrap_or(need));
        self.done(call);
        Ok(())
    }

    pub(super) fn unsent(&mut self, flight: usize) -> Result<(), Broken> {
        if !std::mem::take(&mut self.flights[flight].ours) {
            return Ok(());
        }
        let grant = self.flights[flight].grant.clone();
        self.pool.ended(self.now, &grant, Ending::Unsent);
        self.again(self.flights[flight].call)
    }

    pub(super) fn limited(&mut self, flight: usize, rest: Duration) -> Result<(), Broken> {
        let Flight { ours, call, key, .. } = self.flights[flight];
        if !ours {
            return Ok(());
        }
        self.rests[key] = self.rests[key].max(self.now + rest);
        let rest = if self.fault == Some(Fault::CoolDownShortened) { rest / 2 } else { rest };
        let id = self.flights[flight].grant.key;
        self.pool.rest(self.now, id, self.now + rest);
        self.lands(flight, Ending::Refused, Need::default());
        self.again(call)
    }

    pub(super) fn denied(&mut self, flight: usize) -> Result<(), Broken> {
        let Flight { ours, call, .. } = self.flights[flight];
        if !ours {
            return Ok(());
        }
        self.injected("401");
        let id = self.flights[flight].grant.key;
        self.pool.deny(self.now, id, self.now + QUARANTINE);
        self.lands(flight, Ending::Refused, Need::default());
        self.again(call)
    }

    /// Its connection breaks: nobody here knows how far it came. It is tried once more.
    pub(super) fn breaks(&mut self, flight: usize) -> Result<(), Broken> {
        if !self.flights[flight].ours {
            return Ok(());
        }
        self.injected("answer lost");
        let call = self.flights[flight].call;
        self.lose(flight);
        if std::mem::replace(&mut self.calls[call].broke, true) {
            self.refused(call);
            return Ok(());
        }
        self.again(call)
    }

    /// Its caller goes away.
    pub(super) fn abort(&mut self, call: usize) {
        let flight = self.flights.iter().rposition(|flight| flight.call == call && flight.ours);
        if let Some(flight) = flight {
            self.lose(flight);
        }
        self.calls[call].give_up();
    }

    fn lose(&mut self, flight: usize) {
        let Flight { key, lane, need, answered, .. } = self.flights[flight];
        let grant = self.flights[flight].grant.clone();
        self.pool.ended(self.now, &grant, Ending::Uncertain);
        self.journal[key].push(Record {
            lane: Some(Lane(lane)),
            arrived: Some(answered.unwrap_or(self.now + TRANSIT_MAX)),
            ended: Some(self.now + ENDING_MAX),
            used: need,
        });
        self.abandon(flight);
    }

    /// The process follows it no more: it may still arrive, and ends within the bound.
    pub(super) fn abandon(&mut self, flight: usize) {
        let lost = &mut self.flights[flight];
        (lost.ours, lost.given_up) = (false, Some(self.now));
        let late = if self.rng.random_bool(0.5) { ENDING_MAX } else { self.between(ms(0), ENDING_MAX) };
        self.at(late, Event::Ends(flight));
    }

    /// Its connection is gone with all that was on the way.
    pub(super) fn vanishes(&mut self, flight: usize) {
        self.flights[flight].left = false;
        self.ends(flight);
    }

    fn lands(&mut self, flight: usize, ending: Ending, used: Need) {
        let landed = &mut self.flights[flight];
        landed.ours = false;
        let arrived = landed.answered.unwrap_or(self.now);
        let (key, lane, grant) = (landed.key, Lane(landed.lane), landed.grant.clone());
        self.pool.ended(self.now, &grant, ending);
        self.journal[key].push(Record { lane: Some(lane), arrived: Some(arrived), ended: Some(self.now), used });
    }
}
