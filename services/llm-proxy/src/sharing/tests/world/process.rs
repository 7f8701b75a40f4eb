//! A process: its clock, its stocks, its line of calls.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use super::{
    Books, MS, SECOND, World,
    event::{Call, Event},
};
use crate::{
    domain::{Counted, Stock},
    sharing::{
        member::{Member, Sent, Stocks},
        round::MemberId,
    },
};

pub(super) struct Process {
    pub(super) id: u64,
    pub(super) alive: bool,
    pub(super) paused_until: u64,
    pub(super) cut_until: u64,
    /// Its clock is ahead of the world's by so much.
    pub(super) offset: u64,
    pub(super) member: Member,
    pub(super) stocks: [(Arc<str>, Stock); 3],
    pub(super) line: VecDeque<Call>,
    pub(super) sent: Option<(u64, Sent)>,
    pub(super) joined: bool,
    pub(super) last_round: u64,
    pub(super) wake: u64,
}

impl Stocks for [(Arc<str>, Stock); 3] {
    fn each(&mut self, visit: &mut dyn FnMut(&Arc<str>, u32, &mut Stock)) {
        self.iter_mut().for_each(|(name, stock)| visit(name, 0, stock));
    }
}

impl<B: Books> World<B> {
    pub(super) fn process(&mut self) -> Process {
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

    pub(super) fn is(&self, at: usize, id: u64) -> bool {
        self.processes[at].id == id && self.processes[at].alive
    }

    /// Whether it still waits for the answer to this round.
    pub(super) fn waits(&self, at: usize, id: u64, number: u64) -> bool {
        self.is(at, id) && self.processes[at].sent.as_ref().is_some_and(|(sent, _)| *sent == number)
    }

    pub(super) fn clock(&self, at: usize) -> Duration {
        Duration::from_micros(self.now + self.processes[at].offset)
    }

    /// It is gone, and another begins in its place. What it sent travels on.
    pub(in super::super) fn crash(&mut self, at: usize) {
        let mut fresh = self.process();
        let now = Duration::from_micros(self.now + fresh.offset);
        // Nobody knows what the one before has used of its share of the reserve.
        fresh.stocks.iter_mut().for_each(|(_, stock)| stock.charge(now, stock.limit()));
        self.processes[at] = fresh;
        let begins = self.random.within(MS, SECOND);
        self.after(begins, Event::Wakes(at));
    }
}
