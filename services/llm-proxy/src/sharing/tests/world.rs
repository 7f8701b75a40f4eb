//! Processes, a network that delays and loses, a ledger, and a provider that counts by its own clock.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::{model::Model, random::Random};
use crate::{
    domain::{Counted, Stock},
    sharing::{
        member::{Member, Outcome, Sent, Stocks},
        round::{Answer, MemberId, Round},
    },
};

pub(super) const MS: u64 = 1_000;
pub(super) const SECOND: u64 = 1_000 * MS;
const HEARTBEAT: u64 = 300 * MS;
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

/// What is tried.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) processes: usize,
    pub(super) window: u64,
    /// Requests, tokens, places, all as the provider allows them.
    pub(super) limits: [u64; 3],
    pub(super) reserve_percent: u64,
    /// A call comes to a process about so often, in microseconds.
    pub(super) gap: u64,
    pub(super) tokens_max: u64,
    pub(super) call_max: u64,
    pub(super) faults: Faults,
    pub(super) until: u64,
}

/// Which happen now and then.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Faults {
    pub(super) crashes: bool,
    pub(super) pauses: bool,
    /// Messages are lost, or come late.
    pub(super) losses: bool,
    /// Redis is not reached for a while, by one or all.
    pub(super) outages: bool,
    /// By nobody.
    pub(super) absences: bool,
    pub(super) replacements: bool,
}

struct Process {
    id: u64,
    alive: bool,
    paused_until: u64,
    cut_until: u64,
    /// Its clock is ahead of the world's by so much.
    offset: u64,
    member: Member,
    stocks: [(Arc<str>, Stock); 3],
    line: VecDeque<Call>,
    sent: Option<(u64, Sent)>,
    joined: bool,
    last_round: u64,
    wake: u64,
}

#[derive(Debug, Clone, Copy)]
struct Call {
    input: u64,
    output: u64,
    less: u64,
    lasts: u64,
}

/// A call on its way, of one life of a process.
#[derive(Debug, Clone, Copy)]
struct Flight {
    at: usize,
    id: u64,
    call: Call,
    /// When its arrival was certain, by its process's clock.
    arrived: Duration,
}

#[derive(Debug, Clone)]
enum Event {
    Comes(usize),
    Wakes(usize),
    Arrives(Flight),
    /// Its process hears that it has arrived,
    Answered(Flight),
    /// and that it is over.
    Over(Flight),
    /// At the provider.
    Ends {
        number: u64,
        output: u64,
    },
    Asked {
        at: usize,
        id: u64,
        number: u64,
        round: Box<Round>,
    },
    Heard {
        at: usize,
        id: u64,
        number: u64,
        answer: Answer,
    },
    Lost {
        at: usize,
        id: u64,
        number: u64,
    },
    Called(MemberId),
    Trouble,
}

impl Stocks for [(Arc<str>, Stock); 3] {
    fn each(&mut self, visit: &mut dyn FnMut(&Arc<str>, u32, &mut Stock)) {
        self.iter_mut().for_each(|(name, stock)| visit(name, 0, stock));
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

    fn process(&mut self) -> Process {
        let offset = self.random.within(0, 1_000 * SECOND);
        let now = Duration::from_micros(self.now + offset);
        let window = Counted::Window(Duration::from_micros(self.plan.window));
        let (percent, most) = (self.plan.reserve_percent, self.plan.processes as u64);
        let stock = |name: &str, counted, limit: u64| {
            let reserve = limit * percent / 100;
            (Arc::from(name), Stock::new(counted, limit - reserve, reserve / most))
        };
        let [requests, tokens, places] = self.plan.limits;
        let stocks = [
            stock("requests", window, requests),
            stock("tokens", window, tokens),
            stock("places", Counted::Places, places),
        ];
        let id = self.number();
        Process {
            id,
            alive: true,
            paused_until: 0,
            cut_until: 0,
            offset,
            member: Member::new(MemberId(format!("m{id}").into()), now),
            stocks,
            line: VecDeque::new(),
            sent: None,
            joined: false,
            last_round: 0,
            wake: u64::MAX,
        }
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

    pub(super) fn run(&mut self) {
        while let Some(Reverse((at, number))) = self.events.pop() {
            if at > self.plan.until {
                return;
            }
            self.now = at;
            let event = self.what.remove(&number).expect("it was planned");
            self.happen(event);
        }
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
            Event::Asked { at, id, number, round } => self.asked(at, id, number, &round),
            Event::Heard { at, id, number, answer } => self.heard(at, id, number, answer),
            Event::Lost { at, id, number } => {
                if self.is(at, id) && self.processes[at].sent.as_ref().is_some_and(|(sent, _)| *sent == number) {
                    self.processes[at].sent = None;
                    self.step(at);
                }
            }
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

    fn is(&self, at: usize, id: u64) -> bool {
        self.processes[at].id == id && self.processes[at].alive
    }

    fn comes(&mut self, at: usize) {
        let plan = &self.plan;
        let (gap, tokens, lasts) = (plan.gap, plan.tokens_max, plan.call_max);
        if self.processes[at].line.len() < 50 {
            let input = self.random.within(1, tokens);
            let call = Call {
                input,
                output: self.random.within(0, tokens),
                less: self.random.within(0, input),
                lasts: self.random.within(MS, lasts),
            };
            self.processes[at].line.push_back(call);
        }
        let gap = self.random.within(1, 2 * gap);
        self.after(gap, Event::Comes(at));
        self.step(at);
    }

    /// Starts what can start, and asks the ledger where that is due.
    fn step(&mut self, at: usize) {
        if !self.processes[at].alive {
            return;
        }
        let now = self.clock(at);
        while let Some(call) = self.processes[at].line.front().copied() {
            let needs = [1, call.input + call.output, 1];
            let stocks = &mut self.processes[at].stocks;
            if stocks.iter_mut().zip(needs).any(|((_, stock), needs)| stock.available(now) < needs) {
                break;
            }
            stocks.iter_mut().zip(needs).for_each(|((_, stock), needs)| stock.reserve(now, needs));
            self.processes[at].line.pop_front();
            let id = self.processes[at].id;
            let travels = self.random.within(1, if self.plan.faults.losses { 400 * MS } else { 2 * MS });
            self.after(travels, Event::Arrives(Flight { at, id, call, arrived: Duration::ZERO }));
        }
        let process = &mut self.processes[at];
        let first = process.line.front().map_or(0, |call| call.input + call.output);
        let all: u64 = process.line.iter().map(|call| call.input + call.output).sum();
        let calls = process.line.len() as u64;
        process.stocks[REQUESTS].1.demanded(now, calls, calls.min(1));
        process.stocks[TOKENS].1.demanded(now, all, first);
        process.stocks[PLACES].1.demanded(now, calls, calls.min(1));
        self.ask(at, now);
    }

    fn ask(&mut self, at: usize, now: Duration) {
        let (here, process) = (self.now, &mut self.processes[at]);
        if process.sent.is_some() {
            return;
        }
        let due = process.stocks.iter().filter_map(|(_, stock)| stock.due(now)).min();
        let offset = Duration::from_micros(process.offset);
        let later = |due: Duration| if due <= now { here } else { (due - offset).as_micros() as u64 + 1 };
        let due = due.map_or(u64::MAX, later);
        let lapses = process.stocks[0].1.lease_until();
        let lapses = if lapses > now { (lapses - offset).as_micros() as u64 + 1 } else { u64::MAX };
        let due = due.min(if process.joined { process.last_round + HEARTBEAT } else { 0 }).min(lapses);
        if due > here {
            if due < process.wake {
                process.wake = due;
                self.after(due - here, Event::Wakes(at));
            }
            return;
        }
        if process.last_round == here && here > 0 {
            return self.after(MS, Event::Wakes(at));
        }
        process.last_round = here;
        let sent = process.member.speak(now, &mut process.stocks);
        let round = Box::new(sent.round.clone());
        let id = process.id;
        let number = self.number();
        self.processes[at].sent = Some((number, sent));
        self.rounds += 1;
        let (delay, lost) = self.network(at);
        if !lost {
            self.after(delay, Event::Asked { at, id, number, round: round.clone() });
        }
        // One that is lost for its sender may come all the same, long after.
        if self.plan.faults.losses && self.random.once_in(40) {
            let late = self.random.within(MS, 2 * SECOND);
            self.after(late, Event::Asked { at, id, number: 0, round });
        }
        self.after(SECOND, Event::Lost { at, id, number });
    }

    fn network(&mut self, at: usize) -> (u64, bool) {
        let cut = self.away_until > self.now || self.processes[at].cut_until > self.now;
        if !self.plan.faults.losses {
            return (self.random.within(100, 500), cut);
        }
        let lost = self.random.once_in(30);
        let slow = self.random.once_in(20);
        (self.random.within(100, if slow { 900 * MS } else { 5 * MS }), cut || lost)
    }

    fn asked(&mut self, at: usize, id: u64, number: u64, round: &Round) {
        let (answer, calls) = self.books.round(round);
        for member in calls {
            let delay = self.random.within(100, 500);
            self.after(delay, Event::Called(member));
        }
        let (delay, lost) = self.network(at);
        if !lost {
            self.after(delay, Event::Heard { at, id, number, answer });
        }
    }

    fn heard(&mut self, at: usize, id: u64, number: u64, answer: Answer) {
        if !self.is(at, id) || self.processes[at].sent.as_ref().is_none_or(|(sent, _)| *sent != number) {
            return;
        }
        let now = self.clock(at);
        let (_, sent) = self.processes[at].sent.take().expect("it was looked for");
        let fresh = self.number();
        let process = &mut self.processes[at];
        process.joined = true;
        if process.member.hear(now, &sent, answer, &mut process.stocks) == Outcome::Rejoins {
            process.joined = false;
            process.member.rejoin(MemberId(format!("m{fresh}").into()), now, &mut process.stocks);
        }
        self.step(at);
    }

    fn clock(&self, at: usize) -> Duration {
        Duration::from_micros(self.now + self.processes[at].offset)
    }

    fn arrives(&mut self, flight: Flight) {
        let Flight { at, call, .. } = flight;
        self.count(REQUESTS, 1);
        self.count(TOKENS, call.input - call.less);
        self.calls += 1;
        self.by_process[at] += 1;
        let number = self.number();
        self.at_work.insert(number);
        self.most[PLACES] = self.most[PLACES].max(self.at_work.len() as u64);
        let heard = self.random.within(1, 2 * MS);
        self.after(heard, Event::Answered(flight));
        self.after(call.lasts, Event::Ends { number, output: call.output });
    }

    fn answered(&mut self, flight: Flight) {
        let Flight { at, call, .. } = flight;
        if !self.is(at, flight.id) {
            return;
        }
        let now = self.clock(at);
        let stocks = &mut self.processes[at].stocks;
        stocks[REQUESTS].1.arrive(now, 1);
        stocks[TOKENS].1.arrive(now, call.input);
        self.after(call.lasts, Event::Over(Flight { arrived: now, ..flight }));
        self.step(at);
    }

    fn over(&mut self, flight: Flight) {
        let Flight { at, call, arrived, .. } = flight;
        if !self.is(at, flight.id) {
            return;
        }
        let now = self.clock(at);
        let stocks = &mut self.processes[at].stocks;
        stocks[TOKENS].1.arrive(now, call.output);
        stocks[TOKENS].1.correct(arrived, call.less);
        stocks[PLACES].1.release(now, 1);
        self.step(at);
    }

    fn count(&mut self, limit: usize, amount: u64) {
        let (log, sum) = (&mut self.arrived[limit], &mut self.sums[limit]);
        while log.front().is_some_and(|(at, _)| at + self.plan.window < self.now) {
            *sum -= log.pop_front().map_or(0, |(_, amount)| amount);
        }
        log.push_back((self.now, amount));
        *sum += amount;
        self.total[limit] += amount;
        self.most[limit] = self.most[limit].max(*sum);
    }

    fn trouble(&mut self) {
        let faults = self.plan.faults;
        let at = self.random.within(0, self.plan.processes as u64 - 1) as usize;
        if faults.crashes && self.random.once_in(4) {
            self.crash(at);
        }
        if faults.pauses && self.random.once_in(4) {
            self.processes[at].paused_until = self.now + self.random.within(MS, 4 * SECOND);
        }
        if faults.outages && self.random.once_in(4) {
            let until = self.now + self.random.within(MS, 5 * SECOND);
            if self.random.once_in(2) {
                self.away_until = until;
            } else {
                self.processes[at].cut_until = until;
            }
        }
        if faults.absences && self.random.once_in(4) {
            self.away_until = self.now + self.random.within(MS, 5 * SECOND);
        }
        if faults.replacements && self.random.once_in(8) {
            self.books.replace();
        }
        let next = self.random.within(100 * MS, SECOND);
        self.after(next, Event::Trouble);
    }

    /// It is gone, and another begins in its place. What it sent travels on.
    pub(super) fn crash(&mut self, at: usize) {
        let mut fresh = self.process();
        let now = Duration::from_micros(self.now + fresh.offset);
        // Nobody knows what the one before has used of its share of the reserve.
        fresh.stocks.iter_mut().for_each(|(_, stock)| stock.charge(now, stock.limit()));
        self.processes[at] = fresh;
        let begins = self.random.within(MS, SECOND);
        self.after(begins, Event::Wakes(at));
    }
}

impl Event {
    fn of(&self) -> Option<usize> {
        match self {
            Self::Comes(at) | Self::Wakes(at) | Self::Heard { at, .. } | Self::Lost { at, .. } => Some(*at),
            Self::Answered(flight) | Self::Over(flight) => Some(flight.at),
            Self::Called(_) | Self::Arrives(_) | Self::Ends { .. } | Self::Asked { .. } | Self::Trouble => None,
        }
    }
}
