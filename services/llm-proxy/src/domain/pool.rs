//! The keys of one provider, and the line in front of them.
//!
//! Invariants:
//! - Nobody waits while a key could take the first in line.
//! - Nobody starts before somebody who stands further ahead, but for those whom their model's limits hold back at some key
//!   whose own limits would let them: past them the lanes of other models go on, with that key and with the others. Whom
//!   every key that could be used holds back by its own limits, everybody behind waits for: else large calls would starve.
//! - No call counts for more in the line than a key could give it: what one says it may need keeps nobody out for longer
//!   than one filling of the limits.
//! - A call holds one key from its grant until it is reported ended, even when the key is removed meanwhile.

mod capacity;
mod choice;
mod shares;
mod want;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use self::choice::Blocks;
pub(crate) use self::{
    capacity::{Capacity, KeyCapacity, LimitCapacity, LineCapacity},
    shares::Shares,
    want::{Asked, CallId, Decision, Grant, KeyId, Lane, Need, Refusal, Want, Why},
};
use super::{
    forecast,
    key::{DailyUse, Days, Ending, Key, Limits, Past},
    line::{Blocked, Bounds, Charge, Line, Needed, Ticket, Waiter},
};

/// A key, and what is known of its past: looked at only for limits that are new.
#[derive(Debug, Clone)]
pub(crate) struct NewKey {
    pub(crate) name: Arc<str>,
    pub(crate) limits: Limits,
    pub(crate) past: Past,
    pub(crate) days: Days,
}

/// The least that somebody is told to wait, where nothing better is known.
const RETRY_AFTER_MIN: Duration = Duration::from_millis(100);
/// And the most, where there is no key at all.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Pool {
    /// Those that were removed too, while calls hold them.
    keys: BTreeMap<KeyId, Key>,
    /// The keys in use, in the order of the configuration.
    in_use: Vec<KeyId>,
    lanes: Vec<Arc<str>>,
    line: Line,
    shares: Option<Shares>,
    /// What the line charged for calls at work.
    calls: HashMap<CallId, Charge>,
    numbers: u64,
    /// Where the search for a key starts, so that equal keys take turns.
    turn: usize,
    /// How long calls hold their places, smoothed.
    pace: Option<Duration>,
    /// A key has gone to rest since the line was looked through.
    rested: bool,
    /// When the line was last looked through.
    decided: Duration,
    /// Until when time has passed for any key: what it changed since the line was looked through is no longer to come.
    passed: Duration,
}

impl Pool {
    pub(crate) fn new(keys: Vec<NewKey>, bounds: Bounds, ageing: Duration, now: Duration) -> Self {
        let mut pool = Self {
            keys: BTreeMap::new(),
            in_use: Vec::new(),
            lanes: Vec::new(),
            line: Line::new(bounds, ageing),
            shares: None,
            calls: HashMap::new(),
            numbers: 0,
            turn: 0,
            pace: None,
            rested: false,
            decided: now,
            passed: now,
        };
        pool.set_keys(now, keys);
        pool
    }

    /// The lane of an upstream model.
    pub(crate) fn lane(&mut self, upstream: &str) -> Lane {
        let known = self.lanes.iter().position(|name| &**name == upstream);
        let index = known.unwrap_or_else(|| {
            self.lanes.push(upstream.into());
            self.lanes.len() - 1
        });
        Lane(u16::try_from(index).expect("a provider has fewer than 65,536 models"))
    }

    /// The keys from here on, in this order. Those that stay keep their state; those that go end the calls that they have.
    pub(crate) fn set_keys(&mut self, now: Duration, keys: Vec<NewKey>) {
        self.pass(now);
        self.in_use = keys.into_iter().map(|key| self.set_key(now, key)).collect();
        // Somebody in line may wait for a key that is gone.
        self.rested = true;
    }

    /// The keys in use, in their order.
    pub(crate) fn key_ids(&self) -> Vec<KeyId> {
        self.in_use.clone()
    }

    fn set_key(&mut self, now: Duration, NewKey { name, limits, past, days }: NewKey) -> KeyId {
        let models = limits.models.iter().map(|(model, limits)| (self.lane(model), limits.clone())).collect();
        let known = self.keys.iter().find(|(_, key)| key.name == name).map(|(id, _)| *id);
        let id = known.unwrap_or_else(|| KeyId(self.number()));
        let key = self.keys.entry(id).or_insert_with(|| Key::new(name));
        key.shares = self.shares;
        key.set(&limits, models, (&past, &days), now);
        id
    }

    /// What the last day of a key's limits holds, to be kept.
    pub(crate) fn days(&mut self, now: Duration, id: KeyId) -> Vec<DailyUse> {
        self.with(now, id, |key| key.days()).unwrap_or_default()
    }

    /// The upstream model of a lane.
    pub(crate) fn upstream(&self, lane: Lane) -> &Arc<str> {
        &self.lanes[usize::from(lane.0)]
    }

    /// A call comes; with a ticket where it has waited before.
    pub(crate) fn ask(&mut self, now: Duration, mut want: Want, ticket: Option<Ticket>) -> Asked {
        if let Some(refusal) = self.without_key(now) {
            return Asked::Refused(refusal);
        }
        self.passed = self.passed.max(now);
        want.counted = Some(self.most(want.lane, want.need));
        let fresh = ticket.is_none();
        let ticket = ticket.unwrap_or_else(|| self.line.ticket(now, &want));
        if want.misses(now).is_none()
            && let Some(key) = self.free_for(now, &ticket, &want)
        {
            return Asked::Granted(self.grant(now, ticket, key, &want));
        }
        self.pass(now);
        let start = self.start_of(now, &ticket, &want);
        if let Some(why) = want.misses(start) {
            return Asked::Refused(refusal(why, now, start));
        }
        // Who was in line before was counted before.
        if fresh && !self.line.has_room_for(&want) {
            return Asked::Refused(refusal(Why::Full, now, start));
        }
        self.line.join(ticket, want);
        Asked::Waiting(ticket)
    }

    /// Lets time pass, and decides about those in line.
    pub(crate) fn advance(&mut self, now: Duration) -> Vec<Decision> {
        self.decided = now;
        let mut decisions = Vec::new();
        // Nobody is waiting for what time has changed; who asks next will look.
        if self.line.is_empty() {
            return decisions;
        }
        self.pass(now);
        if let Some(refusal) = self.without_key(now) {
            while let Some(waiter) = self.line.next(&Blocked::default()) {
                self.line.leave(&waiter.ticket);
                decisions.push(Decision::Refused(waiter.ticket, refusal));
            }
        }
        let start = self.usable_at(now);
        if std::mem::take(&mut self.rested) && start > now {
            for Waiter { ticket, want } in self.line.hopeless(|_| start) {
                let why = want.misses(start).unwrap_or(Why::Late);
                decisions.push(Decision::Refused(ticket, refusal(why, now, start)));
            }
        }
        let mut blocked = Blocked::default();
        while let Some(Waiter { ticket, want }) = self.line.next(&blocked) {
            // Its time passed while nobody looked.
            if let Some(why) = want.misses(now) {
                self.line.leave(&ticket);
                decisions.push(Decision::Refused(ticket, refusal(why, now, self.start_of(now, &ticket, &want))));
                continue;
            }
            match self.best(now, &want) {
                Ok(key) => {
                    self.line.leave(&ticket);
                    decisions.push(Decision::Granted(self.grant(now, ticket, key, &want)));
                }
                Err(Blocks::Lane) => blocked.block(want.lane),
                Err(Blocks::All) => break,
            }
        }
        decisions
    }

    /// When time alone may change something for those in line since they were last decided about.
    pub(crate) fn wake_at(&self, now: Duration) -> Option<Duration> {
        if self.line.is_empty() {
            return None;
        }
        if self.passed > self.decided {
            return Some(self.passed);
        }
        let since = self.decided.min(now);
        self.keys.values().filter_map(|key| key.next_change(since)).min()
    }

    /// Somebody in line goes away.
    pub(crate) fn give_up(&mut self, ticket: &Ticket) {
        self.line.leave(ticket);
    }

    /// A request was written to an established connection.
    pub(crate) fn sent(&mut self, now: Duration, grant: &Grant) {
        self.with(now, grant.key, |key| key.sent(now, grant.call));
    }

    /// Its response began.
    pub(crate) fn answered(&mut self, now: Duration, grant: &Grant) {
        self.with(now, grant.key, |key| key.answered(now, grant.call));
    }

    /// The provider took the key for it.
    pub(crate) fn taken(&mut self, now: Duration, grant: &Grant) {
        self.with(now, grant.key, |key| key.taken(now, grant.call));
    }

    /// Its answer has so many tokens so far.
    pub(crate) fn writes(&mut self, now: Duration, grant: &Grant, output: u64) {
        self.with(now, grant.key, |key| key.writes(now, grant.call, output));
    }

    /// Its call is over.
    pub(crate) fn ended(&mut self, now: Duration, grant: &Grant, ending: Ending) {
        let held = self.with(now, grant.key, |key| key.ended(now, grant.call, ending)).flatten();
        if let Some(held) = held {
            self.pace = Some(self.pace.map_or(held, |pace| (pace * 7 + held) / 8));
        }
        let Some(charge) = self.calls.remove(&grant.call) else { return };
        match ending {
            Ending::Unsent | Ending::Refused => self.line.given_back(charge),
            Ending::Certain { used: Some(used) } if used == Need::default() => self.line.rejected(charge),
            Ending::Certain { used: Some(used) } => self.line.settled(charge, Some(used.total())),
            Ending::Certain { used: None } | Ending::Uncertain => self.line.settled(charge, None),
        }
    }

    /// The provider says that a key has to wait.
    pub(crate) fn rest(&mut self, now: Duration, key: KeyId, until: Duration) {
        self.with(now, key, |key| key.rest(until));
        self.rested = true;
    }

    /// The provider does not take a key.
    pub(crate) fn deny(&mut self, now: Duration, key: KeyId, until: Duration) {
        self.with(now, key, |key| key.deny(until));
        self.rested = true;
    }

    /// The provider forbids something, perhaps for its key's fault: how long that is left alone, where it is.
    pub(crate) fn doubt(&mut self, now: Duration, key: KeyId, rests: (Duration, Duration)) -> Option<Duration> {
        let rest = self.with(now, key, |key| key.doubt(now, rests)).flatten()?;
        self.rested = true;
        Some(rest)
    }

    /// A key has another secret: the next call shows what it is worth.
    pub(crate) fn renew(&mut self, now: Duration, key: KeyId) {
        self.with(now, key, |key| key.renew(now));
    }

    /// How long a call would wait that stands at the front now.
    pub(crate) fn forecast(&self, now: Duration, want: &Want) -> Duration {
        forecast::start(&self.usable(), now, want, Needed::default(), self.pace)
            .saturating_sub(now)
            .max(RETRY_AFTER_MIN)
    }

    /// Keys that are neither denied nor resting.
    pub(crate) fn keys_well(&self, now: Duration) -> usize {
        self.usable().iter().filter(|key| key.usable_at() <= now).count()
    }

    /// What counts as a minute, where there are keys.
    pub(crate) fn window(&self) -> Option<Duration> {
        self.usable().iter().map(|key| key.window()).min()
    }

    /// No call is at work.
    pub(crate) fn is_idle(&self) -> bool {
        self.keys.values().all(Key::is_idle)
    }

    pub(crate) fn in_line(&self) -> usize {
        self.line.len()
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// Lets time pass for the keys.
    fn pass(&mut self, now: Duration) {
        self.passed = self.passed.max(now);
        self.keys.values_mut().for_each(|key| key.advance(now));
        if self.keys.len() > self.in_use.len() {
            self.keys.retain(|id, key| self.in_use.contains(id) || !key.is_idle());
        }
    }

    fn with<T>(&mut self, now: Duration, id: KeyId, change: impl FnOnce(&mut Key) -> T) -> Option<T> {
        self.passed = self.passed.max(now);
        let key = self.keys.get_mut(&id)?;
        key.advance(now);
        let changed = change(key);
        if key.is_idle() && !self.in_use.contains(&id) {
            self.keys.remove(&id);
        }
        Some(changed)
    }

    fn usable(&self) -> Vec<&Key> {
        self.in_use.iter().filter_map(|id| self.keys.get(id)).collect()
    }
}

fn refusal(why: Why, now: Duration, start: Duration) -> Refusal {
    let starts_in = start.saturating_sub(now);
    Refusal { why, retry_after: starts_in.max(RETRY_AFTER_MIN), starts_in }
}
