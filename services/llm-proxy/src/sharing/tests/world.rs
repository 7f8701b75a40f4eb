//! Processes, a network that delays and loses, a ledger, and a provider that counts by its own clock.

mod calls;
mod event;
mod plan;
mod process;
mod rounds;
mod trouble;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet, VecDeque},
};

pub(super) use self::plan::{Faults, Plan};
use self::{event::Event, process::Process};
use super::{model::Model, random::Random};
use crate::sharing::round::{Answer, MemberId, Round};

pub(super) const MS: u64 = 1_000;
pub(super) const SECOND: u64 = 1_000 * MS;
const HEARTBEAT: u64 = 300 * MS;
const PROMPTLY: u64 = 100 * MS;
/// The order of a process's stocks.
const REQUESTS: usize = 0;
const TOKENS: usize = 1;
const PLACES: usize = 2;

/// What keeps the books.
pub(super) trait Books {
    fn round(&mut self, round: &Round) -> (Answer, Vec<MemberId>);
    /// Another Redis, which knows nothing.
    fn replace(&mut self);
}

impl Books for Model {
    fn round(&mut self, round: &Round) -> (Answer, Vec<MemberId>) {
        Self::round(self, round)
    }

    fn replace(&mut self) {
        *self = Self::default();
    }
}

pub(super) struct World<B> {
    plan: Plan,
    random: Random,
    books: B,
    now: u64,
    events: BinaryHeap<Reverse<(u64, u64)>>,
    what: HashMap<u64, Event>,
    numbers: u64,
    processes: Vec<Process>,
    away_until: u64,
    /// Which Redis it is.
    life: u64,
    /// By limit, what arrived: when, how much.
    arrived: [VecDeque<(u64, u64)>; 2],
    sums: [u64; 2],
    at_work: HashSet<u64>,
    pub(super) rounds: u64,
    pub(super) calls: u64,
    /// The most in any window, and at once.
    pub(super) most: [u64; 3],
    /// Arrived in all.
    pub(super) total: [u64; 2],
    pub(super) by_process: Vec<u64>,
}

impl<B: Books> World<B> {
    pub(super) fn new(plan: Plan, seed: u64, books: B) -> Self {
        let mut world = Self {
            by_process: vec![0; plan.processes],
            plan,
            random: Random(seed),
            books,
            now: 0,
            events: BinaryHeap::new(),
            what: HashMap::new(),
            numbers: 0,
            processes: Vec::new(),
            away_until: 0,
            life: 0,
            arrived: Default::default(),
            sums: [0; 2],
            at_work: HashSet::new(),
            rounds: 0,
            calls: 0,
            most: [0; 3],
            total: [0; 2],
        };
        for index in 0..world.plan.processes {
            let process = world.process();
            world.processes.push(process);
            world.after(0, Event::Wakes(index));
            world.after(0, Event::Comes(index));
        }
        world.after(SECOND, Event::Trouble);
        world
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn after(&mut self, delay: u64, event: Event) {
        let number = self.number();
        self.events.push(Reverse((self.now + delay, number)));
        self.what.insert(number, event);
    }

    /// Goes on until then.
    pub(super) fn run_until(&mut self, until: u64) {
        while self.events.peek().is_some_and(|Reverse((at, _))| *at <= until) {
            let Some(Reverse((at, number))) = self.events.pop() else { return };
            self.now = at;
            let event = self.what.remove(&number).expect("it was planned");
            self.happen(event);
        }
    }

    /// Goes on to the end of its plan.
    pub(super) fn run(&mut self) {
        self.run_until(self.plan.until);
    }

    /// Nobody reaches Redis any more.
    pub(super) fn loses_redis(&mut self) {
        self.away_until = u64::MAX;
    }

    fn happen(&mut self, event: Event) {
        // A process that is paused does everything later.
        if let Some(index) = event.of() {
            let paused = self.processes[index].paused_until;
            if paused > self.now {
                return self.after(paused - self.now, event);
            }
        }
        match event {
            Event::Comes(at) => self.comes(at),
            Event::Wakes(at) => {
                if self.processes[at].wake <= self.now {
                    self.processes[at].wake = u64::MAX;
                }
                self.step(at);
            }
            Event::Arrives(flight) => self.arrives(flight),
            Event::Answered(flight) => self.answered(flight),
            Event::Over(flight) => self.over(flight),
            Event::Ends { number, output } => {
                self.at_work.remove(&number);
                self.count(TOKENS, output);
            }
            // What was on its way to one Redis reaches no other one.
            Event::Asked { life, .. } if life != self.life => {}
            Event::Asked { at, id, number, round, .. } => self.asked(at, id, number, &round),
            Event::Heard { at, id, number, answer } => self.heard(at, id, number, answer),
            Event::Late { at, id, number } if self.waits(at, id, number) => {
                self.processes[at].stocks.iter_mut().for_each(|(_, stock)| stock.cut_off());
                self.step(at);
            }
            Event::Lost { at, id, number } if self.waits(at, id, number) => {
                self.processes[at].sent = None;
                self.step(at);
            }
            Event::Late { .. } | Event::Lost { .. } => {}
            Event::Called(member) => {
                let called = self.processes.iter().position(|process| *process.member.id() == member && process.alive);
                if let Some(at) = called {
                    self.processes[at].stocks.iter_mut().for_each(|(_, stock)| stock.called());
                    self.step(at);
                }
            }
            Event::Trouble => self.trouble(),
        }
    }
}
