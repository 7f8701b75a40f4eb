//! The pool against a plain model of the provider: whatever happens, no limit is passed, and nobody is forgotten.

use proptest::prelude::*;

use super::*;

/// What happens next. The number picks a call, the share picks when within its bounds the model says it was.
#[derive(Debug, Clone)]
enum Event {
    Ask { tokens: u64, patience: Option<u64> },
    Sent(usize),
    Answered(usize),
    Done(usize, u8),
    GivenUp(usize),
    NeverSent(usize),
    Refused { call: usize, rest: u64 },
    WaiterLeaves(usize),
}

fn event() -> impl Strategy<Value = Event> {
    let call = 0..64_usize;
    prop_oneof![
        6 => (1..60_u64, prop::option::of(0..4_000_u64)).prop_map(|(tokens, patience)| Event::Ask { tokens, patience }),
        3 => call.clone().prop_map(Event::Sent),
        2 => call.clone().prop_map(Event::Answered),
        3 => (call.clone(), 0..=100_u8).prop_map(|(call, used)| Event::Done(call, used)),
        1 => call.clone().prop_map(Event::GivenUp),
        1 => call.clone().prop_map(Event::NeverSent),
        1 => (call.clone(), 0..3_000_u64).prop_map(|(call, rest)| Event::Refused { call, rest }),
        1 => call.prop_map(Event::WaiterLeaves),
    ]
}

/// A call that the pool let go, as the provider sees it.
#[derive(Debug, Clone, Copy)]
struct Seen {
    key: usize,
    from: Duration,
    /// When it arrived, at the worst.
    arrived: Option<Duration>,
    /// When the provider was done with it, at the worst.
    ended: Option<Duration>,
    tokens: u64,
    happened: bool,
}

#[derive(Debug)]
struct World {
    pool: Pool,
    keys: Vec<Limits>,
    now: Duration,
    live: Vec<(Grant, usize)>,
    seen: Vec<Seen>,
    line: Vec<(Ticket, Want)>,
    granted: Vec<Ticket>,
    share: u32,
}

impl World {
    fn new(keys: Vec<Limits>) -> Self {
        Self {
            pool: pool(&keys),
            keys,
            now: Duration::ZERO,
            live: Vec::new(),
            seen: Vec::new(),
            line: Vec::new(),
            granted: Vec::new(),
            share: 0,
        }
    }

    /// A part of a span, the whole of it every other time: the worst case is what a bound is for.
    fn part(&mut self, span: Duration) -> Duration {
        self.share = (self.share + 37) % 100;
        if self.share.is_multiple_of(2) { span } else { span * self.share / 100 }
    }

    fn begin(&mut self, grant: Grant, tokens: u64) {
        let limit = self.keys[grant.key].tokens.unwrap_or(u64::MAX);
        self.live.push((grant, self.seen.len()));
        self.seen.push(Seen {
            key: grant.key,
            from: self.now,
            arrived: None,
            ended: None,
            tokens: tokens.min(limit),
            happened: true,
        });
    }

    fn step(&mut self, event: &Event) {
        let now = self.now;
        match *event {
            Event::Ask { tokens, patience } => {
                let want = Want { tokens, bytes: 1, deadline: patience.map(|patience| now + ms(patience)) };
                match self.pool.ask(now, want, None) {
                    Asked::Granted(grant) => {
                        assert!(self.line.is_empty(), "somebody stood further ahead");
                        self.begin(grant, tokens);
                    }
                    Asked::Waiting(ticket) => self.line.push((ticket, want)),
                    Asked::Refused(refusal) => assert!(!refusal.retry_after.is_zero()),
                }
            }
            Event::WaiterLeaves(number) if !self.line.is_empty() => {
                let (ticket, _) = self.line.remove(number % self.line.len());
                self.pool.give_up(ticket);
            }
            Event::Sent(number) => self.with_call(number, |world, grant, seen| {
                world.pool.sent(now, grant);
                let arrival = now + world.part(TRANSIT_MAX);
                world.seen[seen].arrived.get_or_insert(arrival);
                true
            }),
            Event::Answered(number) => self.with_call(number, |world, grant, seen| {
                world.pool.answered(now, grant);
                world.arrives_by(seen, now);
                true
            }),
            Event::Done(number, used) => self.with_call(number, |world, grant, seen| {
                let tokens = world.seen[seen].tokens * u64::from(used) / 100;
                world.pool.ended(now, grant, Ending::Certain { tokens: Some(tokens) });
                world.arrives_by(seen, now);
                world.seen[seen].tokens = tokens;
                world.seen[seen].ended = Some(now);
                false
            }),
            Event::GivenUp(number) => self.with_call(number, |world, grant, seen| {
                world.pool.ended(now, grant, Ending::Uncertain);
                let (arrival, end) = (now + world.part(TRANSIT_MAX), now + world.part(ENDING_MAX));
                world.seen[seen].arrived.get_or_insert(arrival);
                world.seen[seen].ended = Some(end);
                false
            }),
            Event::NeverSent(number) => self.with_call(number, |world, grant, seen| {
                if world.seen[seen].arrived.is_none() {
                    world.pool.ended(now, grant, Ending::Unsent);
                    world.seen[seen].happened = false;
                    return false;
                }
                true
            }),
            Event::Refused { call, rest } => self.with_call(call, |world, grant, seen| {
                world.pool.rest(grant.key, now + ms(rest));
                world.pool.ended(now, grant, Ending::Refused);
                world.arrives_by(seen, now);
                world.seen[seen].tokens = 0;
                world.seen[seen].ended = Some(now);
                false
            }),
            Event::WaiterLeaves(_) => {}
        }
        self.decide();
    }

    /// The call is still live where the answer is true.
    fn with_call(&mut self, number: usize, change: impl FnOnce(&mut Self, Grant, usize) -> bool) {
        if self.live.is_empty() {
            return;
        }
        let index = number % self.live.len();
        let (grant, seen) = self.live[index];
        if !change(self, grant, seen) {
            self.live.remove(index);
        }
    }

    fn arrives_by(&mut self, seen: usize, by: Duration) {
        let seen = &mut self.seen[seen];
        seen.arrived = Some(seen.arrived.map_or(by, |at| at.min(by)));
    }

    fn decide(&mut self) {
        for decision in self.pool.advance(self.now) {
            let ticket = match decision {
                Decision::Granted(grant) => grant.ticket,
                Decision::Refused(ticket, _) => ticket,
            };
            let place = self.line.iter().position(|(waiting, _)| *waiting == ticket).expect("it stood in line");
            let (_, want) = self.line.remove(place);
            if let Decision::Granted(grant) = decision {
                assert_eq!(place, 0, "somebody stood further ahead");
                self.granted.push(ticket);
                self.begin(grant, want.tokens);
            }
        }
        assert_eq!(self.pool.in_line(), self.line.len());
    }

    /// Every call ends at once from here on; who is in line is served by time alone.
    fn drain(&mut self) {
        for _ in 0..10_000 {
            while let Some((grant, seen)) = self.live.pop() {
                self.pool.ended(self.now, grant, Ending::Certain { tokens: Some(0) });
                self.arrives_by(seen, self.now);
                self.seen[seen].tokens = 0;
                self.seen[seen].ended = Some(self.now);
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

    fn check(&self) {
        for (key, limits) in self.keys.iter().enumerate() {
            let seen: Vec<_> = self.seen.iter().filter(|seen| seen.key == key && seen.happened).collect();
            for at in seen.iter().filter_map(|seen| seen.arrived) {
                let within = |time: Duration| time <= at && at - time < limits.window;
                let arrived = seen.iter().filter(|seen| seen.arrived.is_some_and(within)).count();
                assert!(limits.requests.is_none_or(|most| arrived <= most as usize), "{arrived} within a window");
            }
            for at in seen.iter().map(|seen| seen.from) {
                let there = |seen: &&&Seen| seen.from <= at && seen.ended.is_none_or(|ended| ended > at);
                let at_once = seen.iter().filter(there).count();
                assert!(limits.concurrency.is_none_or(|most| at_once <= most as usize), "{at_once} at once");
            }
            // Tokens count from the moment that the call left, at the worst, to a window after its end.
            for at in seen.iter().map(|seen| seen.from) {
                let counts = |seen: &&&Seen| {
                    seen.from <= at && seen.ended.is_none_or(|ended| ended > at || at - ended < limits.window)
                };
                let tokens: u64 = seen.iter().filter(counts).map(|seen| seen.tokens).sum();
                assert!(limits.tokens.is_none_or(|most| tokens <= most), "{tokens} tokens within a window");
            }
        }
    }
}

fn keys() -> impl Strategy<Value = Vec<Limits>> {
    let key = (prop::option::of(1..6_u32), prop::option::of(1..5_u32), prop::option::of(40..200_u64))
        .prop_map(|(requests, concurrency, tokens)| limits(requests, concurrency, tokens));
    prop::collection::vec(key, 1..4)
}

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
