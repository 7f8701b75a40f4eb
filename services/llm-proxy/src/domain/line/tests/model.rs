//! The line against a plain model of itself: one list of all that wait, searched by the definition.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};

use super::{super::turns::Turn, *};

#[derive(Debug, Clone)]
enum Event {
    Join {
        tenant: u8,
        lane: u16,
        tokens: u64,
        priority: i32,
    },
    Leave(usize),
    /// The next one starts whose lane is not among these.
    Start {
        blocked: Vec<u16>,
    },
    /// One of those at work is over: what it used, or that it never began.
    End(usize, Option<u64>),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        5 => (0..4_u8, 0..3_u16, 1..5_000_u64, -1..=1_i32)
            .prop_map(|(tenant, lane, tokens, priority)| Event::Join { tenant, lane, tokens, priority }),
        1 => any::<usize>().prop_map(Event::Leave),
        4 => vec(0..3_u16, 0..2).prop_map(|blocked| Event::Start { blocked }),
        3 => (any::<usize>(), prop::option::of(0..8_000_u64)).prop_map(|(call, used)| Event::End(call, used)),
    ]
}

#[derive(Debug, Clone, Copy, Default)]
struct Account {
    start: u128,
    credit: u128,
    since: u128,
    own: u128,
    made_good: u128,
    served: u64,
}

/// One thing that is shared. Lane by lane where a lane is apart, else `None`.
#[derive(Debug, Clone, Default)]
struct Shared {
    now: u128,
    accounts: BTreeMap<u64, Account>,
}

/// The definition, without an index.
#[derive(Debug, Default)]
struct Model {
    waiters: Vec<(u64, Waiter)>,
    shared: BTreeMap<Option<Lane>, Shared>,
    ids: BTreeMap<String, u64>,
    flying: BTreeMap<u64, u32>,
    last: u64,
    turns: u64,
}

const ONE: u128 = 1 << 20;
const MOST: u128 = 1 << 40;

impl Model {
    fn enter(&mut self, tenant: &str) -> u64 {
        let last = &mut self.last;
        *self.ids.entry(tenant.to_owned()).or_insert_with(|| {
            *last += 1;
            *last
        })
    }

    fn course_of(&self, lane: Lane) -> Option<Lane> {
        self.shared.contains_key(&Some(lane)).then_some(lane)
    }

    fn waits(&self, course: Option<Lane>, id: u64) -> bool {
        self.waiters.iter().any(|(of, waiter)| *of == id && self.course_of(waiter.want.lane) == course)
    }

    fn start_of(&self, course: Option<Lane>, id: u64) -> u128 {
        let shared = &self.shared[&course];
        shared.accounts.get(&id).map_or(shared.now, |account| account.start.max(shared.now))
    }

    fn join(&mut self, ticket: Ticket, want: Want) {
        let id = self.enter(&want.tenant);
        let course = self.course_of(want.lane);
        if !self.waits(course, id) {
            let start = self.start_of(course, id);
            let shared = self.shared.get_mut(&course).unwrap();
            let account = shared.accounts.entry(id).or_default();
            *account = Account { start, since: shared.now, served: account.served, ..Account::default() };
        }
        self.waiters.push((id, Waiter { ticket, want }));
    }

    fn leave(&mut self, ticket: Ticket) {
        self.waiters.retain(|(_, waiter)| waiter.ticket != ticket);
        self.tidy();
    }

    /// Whoever does not wait loses its credit, and is forgotten once it is even; so is a course that nobody waits for.
    fn tidy(&mut self) {
        let courses: Vec<_> = self.shared.keys().copied().collect();
        for course in courses {
            let waits: Vec<_> = self.shared[&course].accounts.keys().map(|id| (*id, self.waits(course, *id))).collect();
            if course.is_some() && waits.iter().all(|(_, waits)| !waits) {
                self.shared.remove(&course);
                continue;
            }
            let nobody = self.waiters.is_empty();
            let shared = self.shared.get_mut(&course).unwrap();
            if nobody {
                shared.now = shared.accounts.values().map(|account| account.start).fold(shared.now, u128::max);
            }
            for (id, _) in waits.iter().filter(|(_, waits)| !waits) {
                let account = shared.accounts.get_mut(id).unwrap();
                account.credit = 0;
                if account.start <= shared.now {
                    shared.accounts.remove(id);
                }
            }
        }
        let known = |id: &u64| {
            self.waiters.iter().any(|(of, _)| of == id)
                || self.flying.get(id).is_some_and(|calls| *calls > 0)
                || self.shared[&None].accounts.contains_key(id)
        };
        let ids: Vec<_> = self.ids.iter().filter(|(_, id)| !known(id)).map(|(name, _)| name.clone()).collect();
        ids.iter().for_each(|name| _ = self.ids.remove(name));
    }

    fn set_apart(&mut self, blocked: &[u16]) {
        for lane in blocked.iter().map(|lane| Lane(*lane)) {
            let there: Vec<_> =
                self.waiters.iter().filter(|(_, waiter)| waiter.want.lane == lane).map(|(id, _)| *id).collect();
            if self.shared.contains_key(&Some(lane)) || there.is_empty() {
                continue;
            }
            let since = self.shared[&None].now;
            let account = |id: u64| (id, Account { start: self.start_of(None, id), since, ..Account::default() });
            let accounts = there.into_iter().map(account).collect();
            self.shared.insert(Some(lane), Shared { now: self.shared[&None].now, accounts });
            for id in self.ids.values().copied().collect::<Vec<_>>() {
                if !self.waits(None, id)
                    && let Some(account) = self.shared.get_mut(&None).unwrap().accounts.get_mut(&id)
                {
                    account.credit = 0;
                }
            }
        }
    }

    fn next(&mut self, blocked: &[u16]) -> Option<(u64, Waiter)> {
        self.set_apart(blocked);
        let mut best: Option<(Turn, u64, Waiter)> = None;
        for (course, shared) in &self.shared {
            if course.is_some_and(|lane| blocked.contains(&lane.0)) {
                continue;
            }
            let there = |id: u64| {
                let of = self.waiters.iter().filter(move |(of, _)| *of == id);
                of.filter(|(_, waiter)| self.course_of(waiter.want.lane) == *course).map(|(_, waiter)| waiter)
            };
            let waiting = shared.accounts.iter().filter(|(id, _)| there(**id).next().is_some());
            let Some((id, account)) = waiting.min_by_key(|(id, account)| (account.start, **id)) else { continue };
            let waiter = there(*id).min_by_key(|waiter| waiter.ticket).unwrap();
            let turn = (Tag(self.start_of(None, *id)), account.served, waiter.ticket.number);
            if best.as_ref().is_none_or(|(before, ..)| turn < *before) {
                best = Some((turn, *id, waiter.clone()));
            }
        }
        best.map(|(_, id, waiter)| (id, waiter))
    }

    fn serve(&mut self, want: &Want, cost: u128) {
        let id = self.enter(&want.tenant);
        *self.flying.entry(id).or_default() += 1;
        self.turns += 1;
        let own = self.course_of(want.lane);
        for course in [None, own].into_iter().take(if own.is_some() { 2 } else { 1 }) {
            let begin = self.start_of(course, id);
            let waiting = self.shared[&course].accounts.iter().filter(|(id, _)| self.waits(course, **id));
            let first = waiting.map(|(_, account)| account.start).min().unwrap_or(begin);
            let shared = self.shared.get_mut(&course).unwrap();
            let before = shared.now;
            shared.now = shared.now.max(begin.min(first));
            let account = shared.accounts.entry(id).or_default();
            account.own += shared.now - before;
            let discount = account.credit.min(cost / 2);
            account.credit -= discount;
            account.start = begin + cost - discount;
            if course == own {
                account.served = self.turns;
            }
        }
        self.tidy();
    }

    fn correct(&mut self, id: u64, lane: Lane, cost: u128, used: u128) {
        *self.flying.entry(id).or_default() -= 1;
        let own = self.course_of(lane);
        for course in [None, own].into_iter().take(if own.is_some() { 2 } else { 1 }) {
            let waits = self.waits(course, id);
            let shared = self.shared.get_mut(&course).unwrap();
            let Some(account) = shared.accounts.get_mut(&id) else { continue };
            if used > cost {
                let most = (shared.now + MOST).max(account.start);
                account.start = (account.start + used - cost).min(most);
            } else {
                let lead = account.start.saturating_sub(shared.now);
                let back = cost - used;
                account.start -= back.min(lead);
                if waits {
                    let set_back = (shared.now - account.since).saturating_sub(account.own + account.made_good);
                    let back = back.saturating_sub(lead).min(set_back);
                    account.made_good += back;
                    account.credit = (account.credit + back).min(MOST);
                }
            }
        }
        self.tidy();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn it_is_what_its_definition_says(events in vec(event(), 1..150)) {
        let mut line = line();
        let mut model = Model::default();
        model.shared.insert(None, Shared::default());
        let mut flying: Vec<(u64, Want, Charge)> = Vec::new();
        for (step, event) in events.into_iter().enumerate() {
            match event {
                Event::Join { tenant, lane, tokens, priority } => {
                    let want = Want { priority, weight: u32::from(tenant) + 1, ..want(&tenant.to_string(), lane, tokens) };
                    let ticket = wait(&mut line, at(step as u64 * 700), want.clone());
                    model.join(ticket, want);
                }
                Event::Leave(number) if !model.waiters.is_empty() => {
                    let ticket = model.waiters[number % model.waiters.len()].1.ticket;
                    prop_assert!(line.leave(&ticket).is_some());
                    model.leave(ticket);
                }
                Event::Start { blocked } => {
                    let lanes = Blocked(blocked.iter().map(|lane| Lane(*lane)).collect());
                    let (next, expected) = (line.next(&lanes), model.next(&blocked));
                    prop_assert_eq!(next.as_ref().map(|next| next.ticket), expected.as_ref().map(|(_, next)| next.ticket));
                    let (Some(Waiter { ticket, want }), Some((id, _))) = (next, expected) else { continue };
                    line.leave(&ticket);
                    model.leave(ticket);
                    let charge = line.served(&want);
                    model.serve(&want, charge.cost.0);
                    flying.push((model.ids[&*want.tenant], want, charge));
                    prop_assert!(id <= model.last);
                }
                Event::End(number, used) if !flying.is_empty() => {
                    let (id, want, charge) = flying.swap_remove(number % flying.len());
                    let cost = charge.cost.0;
                    model.correct(id, want.lane, cost, u128::from(used.unwrap_or(0)) * ONE / u128::from(want.weight));
                    match used {
                        Some(used) => line.settled(charge, Some(used)),
                        None => line.given_back(charge),
                    }
                }
                Event::Leave(_) | Event::End(..) => {}
            }
            prop_assert_eq!(line.len(), model.waiters.len());
            prop_assert_eq!(line.tenants.len(), model.ids.len());
        }
    }
}
