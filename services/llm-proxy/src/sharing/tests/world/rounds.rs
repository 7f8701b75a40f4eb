//! What processes ask of the ledger, and what becomes of it on the way.

use std::time::Duration;

use super::{
    Books, HEARTBEAT, MS, PLACES, PROMPTLY, REQUESTS, SECOND, TOKENS, World,
    event::{Event, Flight},
};
use crate::sharing::{
    member::Outcome,
    round::{Answer, MemberId, Round},
};

impl<B: Books> World<B> {
    /// Starts what can start, and asks the ledger where that is due.
    pub(super) fn step(&mut self, at: usize) {
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

    pub(super) fn ask(&mut self, at: usize, now: Duration) {
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
        let (number, life) = (self.number(), self.life);
        self.processes[at].sent = Some((number, sent));
        self.rounds += 1;
        let (delay, lost) = self.network(at);
        if !lost {
            self.after(delay, Event::Asked { at, id, number, life, round: round.clone() });
        }
        // One that is lost for its sender may come all the same, long after.
        if self.plan.faults.losses && self.random.once_in(40) {
            let late = self.random.within(MS, 2 * SECOND);
            self.after(late, Event::Asked { at, id, number: 0, life, round });
        }
        self.after(PROMPTLY, Event::Late { at, id, number });
        self.after(SECOND, Event::Lost { at, id, number });
    }

    pub(super) fn network(&mut self, at: usize) -> (u64, bool) {
        let cut = self.away_until > self.now || self.processes[at].cut_until > self.now;
        if !self.plan.faults.losses {
            return (self.random.within(100, 500), cut);
        }
        let lost = self.random.once_in(30);
        let slow = self.random.once_in(20);
        (self.random.within(100, if slow { 900 * MS } else { 5 * MS }), cut || lost)
    }

    pub(super) fn asked(&mut self, at: usize, id: u64, number: u64, round: &Round) {
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

    pub(super) fn heard(&mut self, at: usize, id: u64, number: u64, answer: Answer) {
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
}
