//! The process around the pool, and time.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::SmallRng};

use super::{AGEING, Fault, Figures, Plan, callers::Call, ms, plan::Scene, provider, travel::Flight, verdict::Broken};
use crate::domain::{Bounds, Days, Decision, KeyId, Lane, Limits, NewKey, Past, Pool, Record, Ticket};

/// What happens at some time.
#[derive(Debug, Clone, Copy)]
pub(super) enum Event {
    // To callers.
    Comes(usize),
    Leaves(usize),
    Deadline(usize),
    // On the way, and back.
    Sent(usize),
    Unsent(usize),
    Answers(usize),
    Ended(usize),
    Limited(usize, Duration),
    Denied(usize),
    Breaks(usize),
    // At the provider.
    Arrives(usize),
    Writes(usize, u64),
    Ends(usize),
    Revoked(usize, bool),
    // To the process.
    Restart,
    KeysChange,
    Window,
}

pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) fault: Option<Fault>,
    pub(super) rng: SmallRng,
    pub(super) now: Duration,
    pub(super) pool: Pool,
    pub(super) providers: Vec<provider::Key>,
    /// Which of the provider's keys are configured.
    pub(super) in_use: Vec<bool>,
    pub(super) key_of: HashMap<KeyId, usize>,
    /// Until when the provider asked each key to rest.
    pub(super) rests: Vec<Duration>,
    /// What is kept of each key's calls.
    pub(super) journal: Vec<Vec<Record>>,
    pub(super) calls: Vec<Call>,
    pub(super) flights: Vec<Flight>,
    pub(super) waiting: BTreeMap<Ticket, usize>,
    agenda: BTreeMap<(Duration, u64), Event>,
    order: u64,
    wake: Option<Duration>,
    /// The process stands still until then.
    pub(super) still_until: Duration,
    /// When the last of the tenants came.
    pub(super) joined: Duration,
    /// When nothing new comes any more.
    pub(super) ends: Duration,
    pub(super) figures: Figures,
}

impl World {
    pub(super) fn new(plan: Plan, seed: u64, fault: Option<Fault>) -> Self {
        let keys = plan.keys.len();
        let provider = |limits: &_| provider::Key::new(Clone::clone(limits), plan.model.clone(), plan.window);
        let mut world = Self {
            providers: plan.keys.iter().map(provider).collect(),
            rng: SmallRng::seed_from_u64(seed),
            now: ms(1_000),
            pool: Pool::new(Vec::new(), Bounds { calls: 1, bytes: 1 }, AGEING, ms(1_000)),
            in_use: vec![true; keys],
            key_of: HashMap::new(),
            rests: vec![Duration::ZERO; keys],
            journal: vec![Vec::new(); keys],
            calls: Vec::new(),
            flights: Vec::new(),
            waiting: BTreeMap::new(),
            agenda: BTreeMap::new(),
            order: 0,
            wake: None,
            still_until: Duration::ZERO,
            joined: Duration::ZERO,
            ends: Duration::ZERO,
            figures: Figures::default(),
            plan,
            fault,
        };
        world.start(None);
        world.plan_callers();
        if world.plan.scene == Scene::Storm {
            world.plan_trouble();
        }
        if fault == Some(Fault::FixedWindow) {
            world.at(world.plan.window, Event::Window);
        }
        world
    }

    pub(super) fn run(mut self) -> Result<Figures, Broken> {
        for _ in 0..200_000 {
            let next = self.agenda.first_key_value().map(|((at, _), _)| *at);
            let wake = self.wake.filter(|_| self.fault != Some(Fault::LostWakeUp)).map(|at| at.max(self.still_until));
            match (next, wake) {
                (Some(at), wake) if wake.is_none_or(|wake| at <= wake) => {
                    let (_, event) = self.agenda.pop_first().expect("there is one");
                    self.now = self.now.max(at);
                    self.happens(event)?;
                }
                (_, Some(wake)) => {
                    self.now = self.now.max(wake);
                    self.serve()?;
                }
                _ => return self.over(),
            }
        }
        Err("it never ends".into())
    }

    fn over(self) -> Result<Figures, Broken> {
        if !self.waiting.is_empty() {
            return Err(format!("somebody waits, and nothing wakes them: {} of them", self.waiting.len()));
        }
        if let Some(call) = self.calls.iter().find(|call| !call.is_over()) {
            return Err(format!("a call never ends: {call:?}"));
        }
        if self.pool.in_line() > 0 {
            return Err("the line holds somebody who went away".into());
        }
        self.check_probe()?;
        self.figures.check(&self.plan, self.joined, self.ends)?;
        Ok(self.figures)
    }

    /// Plans an event for so much later.
    pub(super) fn at(&mut self, later: Duration, event: Event) {
        self.order += 1;
        self.agenda.insert((self.now + later, self.order), event);
    }

    pub(super) fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let (least, most) = (least.as_micros() as u64, most.as_micros() as u64);
        Duration::from_micros(self.rng.random_range(least..=most.max(least)))
    }

    pub(super) fn injected(&mut self, kind: &'static str) {
        *self.figures.injected.entry(kind).or_default() += 1;
    }

    /// A process that starts, with what is known.
    pub(super) fn start(&mut self, past: Option<Past>) {
        let bounds = Bounds { calls: 10_000, bytes: 1 << 30 };
        let ageing = if self.fault == Some(Fault::PriorityWithoutAgeing) { AGEING * 1_000 } else { AGEING };
        self.pool = Pool::new(Vec::new(), bounds, ageing, self.now);
        for lane in 0..self.plan.lanes {
            assert_eq!(self.pool.lane(&lane.to_string()), Lane(lane));
        }
        self.rests.fill(Duration::ZERO);
        self.set_keys(past);
    }

    pub(super) fn set_keys(&mut self, past: Option<Past>) {
        let epoch = match self.fault {
            Some(Fault::FixedWindow) => self.now.as_millis() / self.plan.window.as_millis(),
            _ => 0,
        };
        let used: Vec<_> = (0..self.in_use.len()).filter(|key| self.in_use[*key]).collect();
        let new = |key: &usize| {
            let known = match (&past, self.fault) {
                (_, Some(Fault::FixedWindow | Fault::RestartForgets)) => Past::Fresh,
                (Some(past), _) => past.clone(),
                (None, _) => Past::Kept(self.journal[*key].clone()),
            };
            let models = BTreeMap::from([("0".to_owned(), self.plan.model.clone())]);
            let limits = Limits { own: self.plan.keys[*key].clone(), models, window: self.plan.window };
            NewKey { name: format!("{key}/{epoch}").into(), limits, past: known, days: Days::Fresh }
        };
        self.pool.set_keys(self.now, used.iter().map(new).collect());
        self.key_of.extend(self.pool.key_ids().into_iter().zip(used));
    }

    fn happens(&mut self, event: Event) -> Result<(), Broken> {
        match event {
            Event::Arrives(flight) => return self.arrives(flight),
            Event::Writes(flight, output) => return self.writes(flight, output),
            Event::Ends(flight) => {
                self.ends(flight);
                return Ok(());
            }
            Event::Revoked(key, revoked) => {
                self.providers[key].revoked = revoked;
                return Ok(());
            }
            // The process hears of it when it goes on.
            event if self.still_until > self.now => {
                self.at(self.still_until - self.now, event);
                return Ok(());
            }
            Event::Comes(call) => self.comes(call)?,
            Event::Leaves(call) => self.leaves(call),
            Event::Deadline(call) => self.deadline(call),
            Event::Sent(flight) => self.sent(flight),
            Event::Unsent(flight) => self.unsent(flight)?,
            Event::Answers(flight) => self.answers(flight),
            Event::Ended(flight) => self.ended(flight)?,
            Event::Limited(flight, rest) => self.limited(flight, rest)?,
            Event::Denied(flight) => self.denied(flight)?,
            Event::Breaks(flight) => self.breaks(flight)?,
            Event::Restart => self.restart(),
            Event::KeysChange => self.keys_change(),
            Event::Window => {
                self.set_keys(None);
                if self.calls.iter().any(|call| !call.is_over()) {
                    self.at(self.plan.window, Event::Window);
                }
            }
        }
        self.serve()
    }

    /// What follows for those in line.
    fn serve(&mut self) -> Result<(), Broken> {
        loop {
            let decisions = self.pool.advance(self.now);
            if decisions.is_empty() {
                break;
            }
            for decision in decisions {
                match decision {
                    Decision::Granted(grant) => {
                        let call =
                            self.waiting.remove(&grant.ticket).ok_or("a place was given to somebody who went away")?;
                        self.starts(call, grant)?;
                    }
                    Decision::Refused(ticket, _) => {
                        let call = self.waiting.remove(&ticket).ok_or("somebody was refused who went away")?;
                        self.refused(call);
                    }
                }
            }
        }
        self.wake = self.pool.wake_at(self.now);
        if self.wake.is_some_and(|at| at <= self.now) {
            return Err("a wake-up that is due changes nothing".into());
        }
        Ok(())
    }
}
