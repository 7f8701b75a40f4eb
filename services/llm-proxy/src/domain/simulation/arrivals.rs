//! Who comes when, and what they want.

use std::time::Duration;

use rand::RngExt;

use super::{
    callers::{Call, Probe},
    ms,
    plan::Scene,
    world::{Event, World},
};
use crate::domain::Need;

/// How many of its calls a tenant has in line in a backlog.
const DEEP: usize = 20;

impl World {
    pub(super) fn plan_callers(&mut self) {
        let tenants = self.plan.tenants.len();
        match self.plan.scene {
            Scene::Storm => {
                for _ in 0..self.plan.calls {
                    let at = self.between(ms(0), ms(10_000));
                    self.call_of_a_storm(at);
                }
            }
            Scene::Burst => {
                let patient = self.rng.random_bool(0.5);
                for _ in 0..self.plan.calls {
                    let (tenant, at) = (self.rng.random_range(0..tenants), self.between(ms(0), ms(400)));
                    let patience = self.between(ms(0), ms(60_000));
                    let call = self.call_of_a_burst(tenant, Some(patience).filter(|_| !patient));
                    self.at(at, Event::Comes(call));
                }
                let tenant = self.rng.random_range(0..tenants);
                let probe = self.call_of_a_burst(tenant, Some(self.plan.window / 4));
                let exact = tenants == 1 && self.plan.keys[0].input_tokens_per_minute.is_none();
                self.calls[probe].probe =
                    if patient { Probe::Told(None) } else { Probe::ComesBack(if exact { 1 } else { 3 }) };
                self.at(ms(600), Event::Comes(probe));
            }
            Scene::Backlog => {
                self.ends = self.now + self.plan.window * 16;
                let joins = self.plan.window * 6;
                self.joined = self.now + joins;
                for tenant in 0..tenants {
                    // The last one comes when the others have had their share for long.
                    let at = if tenant + 1 == tenants { joins } else { ms(0) };
                    for _ in 0..DEEP {
                        let call = self.call_of_a_backlog(tenant);
                        self.at(at, Event::Comes(call));
                    }
                }
            }
        }
    }

    fn call_of_a_storm(&mut self, at: Duration) {
        let need = Need { input: self.rng.random_range(5..150), output: self.rng.random_range(5..150) };
        let used = self.rng.random_range(0..=100);
        let patience = self.rng.random_bool(0.5).then(|| self.between(ms(0), ms(8_000)));
        let call = Call {
            tenant: self.rng.random_range(0..self.plan.tenants.len()),
            lane: self.rng.random_range(0..self.plan.lanes),
            priority: self.rng.random_range(-1..=1),
            real: Need { input: need.input * self.rng.random_range(80..=100) / 100, output: need.output * used / 100 },
            need,
            patience,
            ..Call::new()
        };
        let call = self.add(call);
        self.at(at, Event::Comes(call));
        if self.rng.random_bool(0.15) {
            let later = self.between(ms(0), ms(4_000));
            self.at(at + later, Event::Leaves(call));
        }
    }

    fn call_of_a_burst(&mut self, tenant: usize, patience: Option<Duration>) -> usize {
        let need = Need { input: self.rng.random_range(20..60), output: 0 };
        let lane = self.rng.random_range(0..self.plan.lanes);
        self.add(Call { tenant, lane, need, real: need, patience, ..Call::new() })
    }

    pub(super) fn call_of_a_backlog(&mut self, tenant: usize) -> usize {
        let need = Need { input: self.rng.random_range(20..120), output: 200 };
        // Some tenants use all that they set aside, others little of it.
        let output = 20 + 180 * (tenant as u64 % 3) / 2;
        let lane = self.rng.random_range(0..self.plan.lanes);
        self.add(Call { tenant, lane, need, real: Need { output, ..need }, ..Call::new() })
    }

    fn add(&mut self, call: Call) -> usize {
        self.figures.calls += 1;
        self.calls.push(call);
        self.calls.len() - 1
    }
}
