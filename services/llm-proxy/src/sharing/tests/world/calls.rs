//! Calls: they come, arrive at the provider, and end.

use super::{
    Books, MS, PLACES, REQUESTS, TOKENS, World,
    event::{Call, Event, Flight},
};

impl<B: Books> World<B> {
    pub(super) fn comes(&mut self, at: usize) {
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

    pub(super) fn arrives(&mut self, flight: Flight) {
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

    pub(super) fn answered(&mut self, flight: Flight) {
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

    pub(super) fn over(&mut self, flight: Flight) {
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

    pub(super) fn count(&mut self, limit: usize, amount: u64) {
        let (log, sum) = (&mut self.arrived[limit], &mut self.sums[limit]);
        while log.front().is_some_and(|(at, _)| at + self.plan.window < self.now) {
            *sum -= log.pop_front().map_or(0, |(_, amount)| amount);
        }
        log.push_back((self.now, amount));
        *sum += amount;
        self.total[limit] += amount;
        self.most[limit] = self.most[limit].max(*sum);
    }
}
