//! The pool against a plain model of the provider: whatever happens, no limit is passed, and nobody is forgotten.

mod check;
mod events;

use proptest::prelude::*;

use self::events::{Event, event, keys};
use super::*;

/// A call that the pool let go, as the provider sees it and as we know it.
#[derive(Debug, Clone)]
struct Seen {
    key: usize,
    lane: Lane,
    from: Duration,
    /// When it arrived and ended at the provider, and when that is certain here.
    arrived: Option<Duration>,
    ended: Option<Duration>,
    surely: Record,
    used: Need,
    /// Its answer was written when it arrived, and not when it ended.
    early: bool,
    happened: bool,
    live: bool,
}

#[derive(Debug)]
struct World {
    pool: Pool,
    keys: Vec<Limits>,
    in_use: Vec<usize>,
    names: Vec<(KeyId, usize)>,
    rests: Vec<Duration>,
    now: Duration,
    live: Vec<(Grant, usize)>,
    seen: Vec<Seen>,
    line: Vec<(Ticket, Want)>,
    share: u32,
}

impl World {
    fn new(keys: Vec<Limits>) -> Self {
        let mut pool = Pool::new(Vec::new(), BOUNDS, AGEING, Duration::ZERO);
        NAMES.iter().zip(0..).for_each(|(name, lane)| assert_eq!(pool.lane(name), Lane(lane)));
        pool.set_keys(Duration::ZERO, keys.iter().enumerate().map(|(number, limits)| fresh(number, limits)).collect());
        let names = pool.key_ids().into_iter().zip(0..).collect();
        Self {
            in_use: (0..keys.len()).collect(),
            rests: vec![Duration::ZERO; keys.len()],
            pool,
            keys,
            names,
            now: Duration::ZERO,
            live: Vec::new(),
            seen: Vec::new(),
            line: Vec::new(),
            share: 0,
        }
    }

    /// A part of a span, the whole of it every other time: the worst case is what a bound is for.
    fn part(&mut self, span: Duration) -> Duration {
        self.share = (self.share + 37) % 100;
        if self.share.is_multiple_of(2) { span } else { span * self.share / 100 }
    }

    fn key_of(&self, id: KeyId) -> usize {
        self.names.iter().find(|(known, _)| *known == id).expect("a key of ours").1
    }

    fn begin(&mut self, grant: Grant, want: &Want) {
        let key = self.key_of(grant.key);
        assert!(self.in_use.contains(&key), "a removed key got a call");
        assert!(self.rests[key] <= self.now, "a key that rests got a call");
        // A call that is larger than a limit takes all of it, and no more is promised.
        let limits = [Some(&self.keys[key].own), self.keys[key].models.get(NAMES[usize::from(want.lane.0)])];
        let mut used = want.need;
        for limits in limits.into_iter().flatten() {
            let most = |limit: Option<u64>| limit.unwrap_or(u64::MAX);
            used.input = used.input.min(most(limits.input_tokens_per_minute)).min(most(limits.tokens_per_minute));
            used.output = used.output.min(most(limits.output_tokens_per_minute));
            used.output =
                used.output.min(most(limits.tokens_per_minute) - used.input.min(most(limits.tokens_per_minute)));
        }
        self.share += 1;
        self.live.push((grant, self.seen.len()));
        self.seen.push(Seen {
            key,
            lane: want.lane,
            from: self.now,
            arrived: None,
            ended: None,
            surely: Record { lane: Some(want.lane), used: want.need, ..Record::default() },
            used,
            early: self.share.is_multiple_of(3),
            happened: true,
            live: true,
        });
    }

    fn step(&mut self, event: &Event) {
        let now = self.now;
        match *event {
            Event::Ask { lane, need: (input, output), patience } => {
                let deadline = patience.map(|patience| now + ms(patience));
                let want = Want { lane: Lane(lane), deadline, ..sized(input, output) };
                match self.pool.ask(now, want.clone(), None) {
                    Asked::Granted(grant) => {
                        let mut ahead = self.line.iter().filter(|(_, ahead)| ahead.lane == want.lane);
                        let ahead = ahead.any(|(ticket, _)| *ticket < grant.ticket);
                        assert!(!ahead, "somebody stood further ahead");
                        self.begin(grant, &want);
                    }
                    Asked::Waiting(ticket) => self.line.push((ticket, want)),
                    Asked::Refused(refusal) => assert!(!refusal.retry_after.is_zero()),
                }
            }
            Event::WaiterLeaves(number) if !self.line.is_empty() => {
                let (ticket, _) = self.line.remove(number % self.line.len());
                self.pool.give_up(&ticket);
            }
            Event::Toggle(number) => self.toggle(number % self.keys.len()),
            Event::WaiterLeaves(_) => {}
            Event::Sent(number) => self.with_call(number, |world, grant, seen| {
                world.pool.sent(now, grant);
                let arrival = now + world.part(TRANSIT_MAX);
                world.seen[seen].arrived.get_or_insert(arrival);
                world.seen[seen].surely.arrived.get_or_insert(now + TRANSIT_MAX);
                true
            }),
            Event::Answered(number) => self.with_call(number, |world, grant, seen| {
                world.pool.answered(now, grant);
                world.arrives_by(seen, now);
                true
            }),
            Event::Done(number, used) => self.with_call(number, |world, grant, seen| {
                let call = &mut world.seen[seen];
                call.used = Need { input: call.used.input * used.0 / 100, output: call.used.output * used.1 / 100 };
                let ending = Ending::Certain { used: Some(call.used) };
                call.surely.used = call.used;
                world.pool.ended(now, grant, ending);
                world.over(seen, now, now);
                false
            }),
            Event::GivenUp(number) => self.with_call(number, |world, grant, seen| {
                world.pool.ended(now, grant, Ending::Uncertain);
                let (arrival, end) = (now + world.part(TRANSIT_MAX), now + world.part(ENDING_MAX));
                let call = &mut world.seen[seen];
                call.arrived.get_or_insert(arrival);
                call.surely.arrived.get_or_insert(now + TRANSIT_MAX);
                (call.ended, call.surely.ended, call.live) = (Some(end.max(arrival)), Some(now + ENDING_MAX), false);
                false
            }),
            Event::NeverSent(number) => self.with_call(number, |world, grant, seen| {
                if world.seen[seen].arrived.is_some() {
                    return true;
                }
                world.pool.ended(now, grant, Ending::Unsent);
                (world.seen[seen].happened, world.seen[seen].live) = (false, false);
                false
            }),
            Event::Refused { call, rest } => self.with_call(call, |world, grant, seen| {
                world.pool.rest(now, grant.key, now + ms(rest));
                world.turned_away(grant, seen, now + ms(rest));
                false
            }),
            Event::Denied { call, rest } => self.with_call(call, |world, grant, seen| {
                world.pool.deny(now, grant.key, now + ms(rest));
                world.turned_away(grant, seen, now + ms(rest));
                false
            }),
        }
        self.decide();
    }

    /// The call is still live where the answer is true.
    fn with_call(&mut self, number: usize, change: impl FnOnce(&mut Self, &Grant, usize) -> bool) {
        if self.live.is_empty() {
            return;
        }
        let index = number % self.live.len();
        let (grant, seen) = self.live[index].clone();
        if !change(self, &grant, seen) {
            self.live.remove(index);
        }
    }

    fn turned_away(&mut self, grant: &Grant, seen: usize, until: Duration) {
        self.pool.ended(self.now, grant, Ending::Refused);
        let key = self.seen[seen].key;
        self.rests[key] = self.rests[key].max(until);
        (self.seen[seen].used, self.seen[seen].surely.used) = (Need::default(), Need::default());
        self.over(seen, self.now, self.now);
    }

    fn arrives_by(&mut self, seen: usize, by: Duration) {
        let seen = &mut self.seen[seen];
        seen.arrived = Some(seen.arrived.map_or(by, |at| at.min(by)));
        seen.surely.arrived = Some(seen.surely.arrived.map_or(by, |at| at.min(by)));
    }

    fn over(&mut self, seen: usize, ended: Duration, surely: Duration) {
        self.arrives_by(seen, ended);
        let seen = &mut self.seen[seen];
        (seen.ended, seen.surely.ended, seen.live) = (Some(ended), Some(surely), false);
    }

    /// What a journal would know of a key.
    fn past(&self, key: usize) -> Past {
        let over = self.seen.iter().filter(|seen| seen.key == key && seen.happened && !seen.live);
        Past::Kept(over.map(|seen| seen.surely).collect())
    }

    fn toggle(&mut self, which: usize) {
        match self.in_use.iter().position(|key| *key == which) {
            Some(index) => drop(self.in_use.remove(index)),
            None => self.in_use.push(which),
        }
        let keys = self.in_use.iter().map(|number| key(*number, &self.keys[*number], self.past(*number)));
        self.pool.set_keys(self.now, keys.collect());
        for (id, number) in self.pool.key_ids().into_iter().zip(&self.in_use) {
            if !self.names.contains(&(id, *number)) {
                // A key that is made anew does not know that it rested.
                self.rests[*number] = Duration::ZERO;
                self.names.push((id, *number));
            }
        }
    }

    fn decide(&mut self) {
        for decision in self.pool.advance(self.now) {
            let ticket = match &decision {
                Decision::Granted(grant) => grant.ticket,
                Decision::Refused(ticket, _) => *ticket,
            };
            let place = self.line.iter().position(|(waiting, _)| *waiting == ticket).expect("it stood in line");
            let (_, want) = self.line.remove(place);
            if let Decision::Granted(grant) = decision {
                self.begin(grant, &want);
            }
        }
        assert_eq!(self.pool.in_line(), self.line.len());
    }

    /// Every call ends at once from here on; who is in line is served by time alone.
    fn drain(&mut self) {
        while self.in_use.len() < self.keys.len() {
            let missing = (0..self.keys.len()).find(|key| !self.in_use.contains(key)).expect("one is missing");
            self.toggle(missing);
        }
        for _ in 0..10_000 {
            while let Some((grant, seen)) = self.live.pop() {
                self.pool.ended(self.now, &grant, Ending::Certain { used: Some(Need::default()) });
                self.seen[seen].used = Need::default();
                self.over(seen, self.now, self.now);
            }
            self.decide();
            if self.line.is_empty() {
                return;
            }
            if self.live.is_empty() {
                let at = self.pool.wake_at(self.now).expect("somebody waits, and nothing will wake them");
                assert!(at > self.now, "a wake-up that is due already changes nothing");
                self.now = at;
                self.decide();
            }
        }
        panic!("the line never empties: {:?}", self.line);
    }
}

const NAMES: [&str; 2] = ["m", "n"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_limit_is_passed_in_any_window_and_nobody_is_forgotten(
        keys in keys(),
        events in prop::collection::vec((0..400_u64, event()), 1..120),
    ) {
        let mut world = World::new(keys);
        for (pause, event) in &events {
            world.now += ms(*pause);
            world.decide();
            world.step(event);
        }
        world.check();
        world.drain();
        world.check();
    }
}
