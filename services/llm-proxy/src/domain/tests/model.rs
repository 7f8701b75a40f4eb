//! The pool against a plain model of what it knows: one list of all calls with their times. Nothing is granted past a limit,
//! nobody waits who could start, and the next look is never too late.

use proptest::{collection::vec, prelude::*};

use super::*;

#[derive(Debug, Clone)]
enum Event {
    Ask { lane: u16, need: Need },
    Sent(usize),
    Answered(usize),
    Done(usize, u64),
    GivenUp(usize),
    NeverSent(usize),
}

fn event() -> impl Strategy<Value = Event> {
    let call = 0..64_usize;
    let need = (1..40_u64, 0..40_u64).prop_map(|(input, output)| Need { input, output });
    prop_oneof![
        6 => (0..2_u16, need).prop_map(|(lane, need)| Event::Ask { lane, need }),
        3 => call.clone().prop_map(Event::Sent),
        2 => call.clone().prop_map(Event::Answered),
        3 => (call.clone(), 0..=130_u64).prop_map(|(call, percent)| Event::Done(call, percent)),
        1 => call.clone().prop_map(Event::GivenUp),
        1 => call.prop_map(Event::NeverSent),
    ]
}

fn some_limits() -> impl Strategy<Value = ModelLimits> {
    let some = |least: u64, most: u64| prop::option::weighted(0.4, least..most);
    (some(1, 6), some(30, 200), some(20, 100), some(20, 100), some(1, 5)).prop_map(
        |(requests, tokens, input, output, at_once)| ModelLimits {
            requests_per_minute: requests.map(|most| most as u32),
            tokens_per_minute: tokens,
            input_tokens_per_minute: input,
            output_tokens_per_minute: output,
            concurrency: at_once.map(|most| most as u32),
            ..ModelLimits::default()
        },
    )
}

/// All that is known of a call. What it needs of a limit is never more than the limit.
#[derive(Debug, Clone)]
struct Call {
    key: usize,
    lane: Lane,
    need: Need,
    /// When its arrival is or becomes certain, and its end.
    arrived: Option<Duration>,
    ended: Option<Duration>,
    used: Option<Need>,
}

/// Where a call could start.
#[derive(Debug, PartialEq, Eq)]
enum Room {
    Free,
    /// The model's own limits hold it back, and nothing else.
    Model,
    Own,
}

#[derive(Debug)]
struct Plain {
    /// Limits of each key, and those of its first model.
    keys: Vec<[ModelLimits; 2]>,
    calls: Vec<Option<Call>>,
}

const WINDOW: Duration = Duration::from_secs(1);

/// What a call needs of a kind of limit: at its arrival, and at its end.
fn parts(kind: Kind, need: Need) -> (u64, u64) {
    match kind {
        Kind::Requests => (1, 0),
        Kind::Tokens => (need.input, need.output),
        Kind::Input => (need.input, 0),
        Kind::Output => (0, need.output),
        Kind::Concurrency => (0, 1),
        Kind::RequestsPerDay | Kind::TokensPerDay => (0, 0),
    }
}

fn clipped((arrival, end): (u64, u64), limit: u64) -> (u64, u64) {
    let arrival = arrival.min(limit);
    (arrival, end.min(limit - arrival))
}

impl Call {
    /// What it counts at a time against a limit.
    fn counts(&self, kind: Kind, limit: u64, now: Duration) -> u64 {
        let held = clipped(parts(kind, self.need), limit);
        let over = self.ended.is_some_and(|at| at <= now);
        let used = self.used.filter(|_| over).map_or(held, |used| parts(kind, used));
        let since = |at: Option<Duration>| at.is_none_or(|at| at + WINDOW >= now);
        if kind == Kind::Concurrency {
            return u64::from(!over);
        }
        let arrival = if since(self.arrived) { used.0.min(held.0) } else { 0 };
        let more = used.0.saturating_sub(held.0);
        let end = if over { if since(self.ended) { used.1 + more } else { 0 } } else { held.1 };
        arrival + end
    }
}

impl Plain {
    fn fits(&self, book: &ModelLimits, key: usize, lane: Option<Lane>, need: Need, now: Duration) -> bool {
        Kind::ALL.into_iter().all(|kind| {
            let Some(limit) = kind.limit(book) else { return true };
            let there =
                self.calls.iter().flatten().filter(|call| call.key == key && lane.is_none_or(|lane| call.lane == lane));
            let counted: u64 = there.map(|call| call.counts(kind, limit, now)).sum();
            let (arrival, end) = clipped(parts(kind, need), limit);
            // Who needs nothing of it is not held back by those who took too much.
            arrival + end == 0 || counted + arrival + end <= limit
        })
    }

    fn room(&self, lane: Lane, need: Need, now: Duration) -> Room {
        let rooms = self.keys.iter().enumerate().map(|(key, [own, model])| {
            let own = self.fits(own, key, None, need, now);
            let model = lane != Lane(0) || self.fits(model, key, Some(lane), need, now);
            match (own, model) {
                (true, true) => Room::Free,
                (true, false) => Room::Model,
                (false, _) => Room::Own,
            }
        });
        rooms.min_by_key(|room| [Room::Free, Room::Model, Room::Own].iter().position(|of| of == room)).expect("a key")
    }

    /// Whether any of those in line could start, whichever lane's turn it is: each lane's first could, or is held back by its
    /// model alone.
    fn could_start(&self, line: &[(Ticket, Want)], now: Duration) -> bool {
        let first = |lane: u16| line.iter().find(|(_, want)| want.lane == Lane(lane));
        let firsts = [0, 1].into_iter().filter_map(first);
        let rooms: Vec<_> = firsts.map(|(_, want)| self.room(want.lane, want.need, now)).collect();
        rooms.contains(&Room::Free) && !rooms.contains(&Room::Own)
    }

    /// The times at which something is counted no more.
    fn moments(&self) -> Vec<Duration> {
        let known = self.calls.iter().flatten().flat_map(|call| [call.arrived, call.ended]).flatten();
        known.flat_map(|at| [at, at + WINDOW + Duration::from_nanos(1)]).collect()
    }
}

struct World {
    pool: Pool,
    plain: Plain,
    now: Duration,
    line: Vec<(Ticket, Want)>,
    live: Vec<(Grant, usize)>,
}

impl World {
    fn new(keys: Vec<[ModelLimits; 2]>) -> Self {
        let new = |(number, [own, model]): (usize, &[ModelLimits; 2])| NewKey {
            limits: Limits { own: own.clone(), models: [("0".to_owned(), model.clone())].into(), window: WINDOW },
            ..key(number, &limits(None, None, None), Past::Fresh)
        };
        let mut pool = Pool::new(keys.iter().enumerate().map(new).collect(), BOUNDS, AGEING, Duration::ZERO);
        ["0", "1"].into_iter().for_each(|model| _ = pool.lane(model));
        Self { pool, plain: Plain { keys, calls: Vec::new() }, now: Duration::ZERO, line: Vec::new(), live: Vec::new() }
    }

    fn begin(&mut self, grant: Grant, want: &Want) {
        let key = self.pool.key_ids().iter().position(|key| *key == grant.key).expect("it is there");
        let [own, model] = &self.plain.keys[key];
        assert!(self.plain.fits(own, key, None, want.need, self.now), "granted past the key's limit");
        let fits = want.lane != Lane(0) || self.plain.fits(model, key, Some(want.lane), want.need, self.now);
        assert!(fits, "granted past the model's limit");
        let call = Call { key, lane: want.lane, need: want.need, arrived: None, ended: None, used: None };
        self.live.push((grant, self.plain.calls.len()));
        self.plain.calls.push(Some(call));
    }

    fn decide(&mut self) {
        for decision in self.pool.advance(self.now) {
            let Decision::Granted(grant) = decision else { panic!("nobody is in a hurry: {decision:?}") };
            let place = self.line.iter().position(|(ticket, _)| *ticket == grant.ticket).expect("it stood in line");
            let (_, want) = self.line.remove(place);
            self.begin(grant, &want);
        }
        assert!(!self.plain.could_start(&self.line, self.now), "somebody waits who could start");
    }

    /// Time passes, from one look to the next.
    fn pass(&mut self, until: Duration) {
        loop {
            let look = self.pool.wake_at(self.now).unwrap_or(Duration::MAX);
            let next = look.min(until);
            let late = self.plain.moments().into_iter().filter(|at| *at > self.now && *at < next);
            for at in late {
                assert!(
                    !self.plain.could_start(&self.line, at),
                    "at {at:?} somebody could start, and nobody looks until {next:?}"
                );
            }
            self.now = next;
            self.decide();
            if next == until {
                return;
            }
        }
    }

    fn step(&mut self, event: &Event) {
        let now = self.now;
        match *event {
            Event::Ask { lane, need } => {
                let want = Want { lane: Lane(lane), need, ..want(0) };
                match self.pool.ask(now, want.clone(), None) {
                    Asked::Granted(grant) => self.begin(grant, &want),
                    Asked::Waiting(ticket) => {
                        self.line.push((ticket, want));
                        self.line.sort_unstable_by_key(|(ticket, _)| *ticket);
                    }
                    Asked::Refused(refusal) => assert_eq!(refusal.why, Why::Full),
                }
            }
            Event::Sent(number) => self.with(number, |pool, grant, call| {
                pool.sent(now, grant);
                let by = now + TRANSIT_MAX;
                call.arrived = Some(call.arrived.map_or(by, |at| at.min(by)));
                true
            }),
            Event::Answered(number) => self.with(number, |pool, grant, call| {
                pool.answered(now, grant);
                call.arrived = Some(call.arrived.map_or(now, |at| at.min(now)));
                true
            }),
            Event::Done(number, percent) => self.with(number, |pool, grant, call| {
                let part = |tokens: u64| tokens * percent / 100;
                let used = Need { input: part(call.need.input), output: part(call.need.output) };
                pool.ended(now, grant, Ending::Certain { used: Some(used) });
                call.arrived = Some(call.arrived.map_or(now, |at| at.min(now)));
                (call.ended, call.used) = (Some(now), Some(used));
                false
            }),
            Event::GivenUp(number) => self.with(number, |pool, grant, call| {
                pool.ended(now, grant, Ending::Uncertain);
                let by = now + TRANSIT_MAX;
                call.arrived = Some(call.arrived.map_or(by, |at| at.min(by)));
                call.ended = Some(now + ENDING_MAX);
                false
            }),
            Event::NeverSent(number) => {
                let unsent = self
                    .live
                    .get(number % self.live.len().max(1))
                    .filter(|(_, call)| self.plain.calls[*call].as_ref().is_some_and(|call| call.arrived.is_none()));
                if let Some((grant, call)) = unsent.cloned() {
                    self.live.retain(|(_, live)| *live != call);
                    self.plain.calls[call] = None;
                    self.pool.ended(now, &grant, Ending::Unsent);
                }
            }
        }
        self.decide();
    }

    /// The call is still live where the answer is true.
    fn with(&mut self, number: usize, change: impl FnOnce(&mut Pool, &Grant, &mut Call) -> bool) {
        if self.live.is_empty() {
            return;
        }
        let index = number % self.live.len();
        let (grant, call) = self.live[index].clone();
        let call = self.plain.calls[call].as_mut().expect("it left");
        if !change(&mut self.pool, &grant, call) {
            self.live.remove(index);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_granted_past_a_limit_and_nobody_waits_who_could_start(
        keys in vec([some_limits(), some_limits()], 1..3),
        events in vec((0..400_u64, event()), 1..100),
    ) {
        let mut world = World::new(keys);
        for (pause, event) in &events {
            world.pass(world.now + ms(*pause));
            world.step(event);
        }
        world.pass(world.now + 5 * WINDOW);
    }
}
