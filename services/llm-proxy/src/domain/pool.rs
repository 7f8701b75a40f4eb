//! The keys of one provider, and the line in front of them.
//!
//! Invariants:
//! - Nobody waits while a key could take the first in line.
//! - Nobody starts before somebody who stands further ahead.
//! - A call holds one key from its grant until it is reported ended.

use std::time::Duration;

use super::{
    forecast::{self, Needed},
    key::{Ending, Key, Limits, Past},
    line::{Bounds, Line, Rank, Waiter},
};

/// A call's place in the order, which it keeps when it has to come again.
pub(crate) type Ticket = Rank;

/// A call that was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct CallId(u64);

/// What a call needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Want {
    pub(crate) tokens: u64,
    /// What it costs to keep it waiting.
    pub(crate) bytes: usize,
    /// When it makes no sense any more to start.
    pub(crate) deadline: Option<Duration>,
}

/// Leave to call with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) call: CallId,
    pub(crate) key: usize,
    pub(crate) ticket: Ticket,
}

/// No leave, and when to come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) why: Why,
    pub(crate) retry_after: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// The line is as long as it may be.
    Full,
    /// It would start after its deadline.
    Late,
    /// No key can be used.
    NoKey,
}

/// What becomes of a call that asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    Granted(Grant),
    Waiting(Ticket),
    Refused(Refusal),
}

/// What became of a call that waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    Granted(Grant),
    Refused(Ticket, Refusal),
}

/// The least that somebody is told to wait, where nothing better is known.
const RETRY_AFTER_MIN: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(crate) struct Pool {
    keys: Vec<Key>,
    /// Until when each key is out of use because the provider does not take it.
    denied_until: Vec<Duration>,
    line: Line,
    numbers: u64,
    /// Where the search for a key starts, so that equal keys take turns.
    turn: usize,
    /// How long calls hold their places, smoothed.
    pace: Option<Duration>,
    /// A key has gone to rest since the line was looked through.
    rested: bool,
}

impl Pool {
    pub(crate) fn new(keys: Vec<(Limits, Past)>, calls: usize, bytes: usize, now: Duration) -> Self {
        Self {
            denied_until: vec![Duration::ZERO; keys.len()],
            keys: keys.into_iter().map(|(limits, past)| Key::new(limits, &past, now)).collect(),
            line: Line::new(Bounds { calls, bytes }),
            numbers: 0,
            turn: 0,
            pace: None,
            rested: false,
        }
    }

    /// A call comes; with a ticket where it has waited before.
    pub(crate) fn ask(&mut self, now: Duration, want: Want, ticket: Option<Ticket>) -> Asked {
        self.keys.iter_mut().for_each(|key| key.advance(now));
        if let Some(refusal) = self.without_key(now) {
            return Asked::Refused(refusal);
        }
        let fresh = ticket.is_none();
        let ticket = ticket.unwrap_or_else(|| Rank(self.number()));
        let first = self.line.first().is_none_or(|(rank, _)| ticket < rank);
        if first && let Some(key) = self.best(now, want.tokens) {
            return Asked::Granted(self.grant(now, ticket, key, want));
        }
        // Who comes again stands at the front, so nobody is ahead.
        let ahead = if fresh { (self.line.len() as u64, self.line.tokens()) } else { (0, 0) };
        let start = self.start_after(now, ahead, &want);
        let retry_after = start.saturating_sub(now).max(RETRY_AFTER_MIN);
        if want.deadline.is_some_and(|deadline| start > deadline) {
            return Asked::Refused(Refusal { why: Why::Late, retry_after });
        }
        // Who was in line before was counted before.
        if fresh && !self.line.has_room_for(&want) {
            return Asked::Refused(Refusal { why: Why::Full, retry_after });
        }
        self.line.join(ticket, Waiter { ticket, want });
        Asked::Waiting(ticket)
    }

    /// Lets time pass, and decides about those in line.
    pub(crate) fn advance(&mut self, now: Duration) -> Vec<Decision> {
        self.keys.iter_mut().for_each(|key| key.advance(now));
        let mut decisions = Vec::new();
        if self.line.is_empty() {
            return decisions;
        }
        if let Some(refusal) = self.without_key(now) {
            while let Some((ticket, _)) = self.line.first() {
                self.line.leave(ticket);
                decisions.push(Decision::Refused(ticket, refusal));
            }
        }
        if std::mem::take(&mut self.rested) {
            let start = self.keys.iter().map(Key::resting_until).min().unwrap_or(now).max(now);
            let refusal = Refusal { why: Why::Late, retry_after: start.saturating_sub(now).max(RETRY_AFTER_MIN) };
            let late = self.line.hopeless(start);
            decisions.extend(late.into_iter().map(|waiter| Decision::Refused(waiter.ticket, refusal)));
        }
        while let Some((ticket, waiter)) = self.line.first()
            && let Some(key) = self.best(now, waiter.want.tokens)
        {
            self.line.leave(ticket);
            decisions.push(Decision::Granted(self.grant(now, ticket, key, waiter.want)));
        }
        decisions
    }

    /// When time alone may change something for those in line.
    pub(crate) fn wake_at(&self, now: Duration) -> Option<Duration> {
        if self.line.is_empty() {
            return None;
        }
        let of_key = |key: &Key| {
            let logs = key.request_log().into_iter().chain(key.token_log());
            let frees = logs.filter_map(move |log| log.frees().map(|(at, _)| at).find(|at| *at > now));
            let rest = Some(key.resting_until()).filter(|at| *at > now);
            frees.chain(rest).chain(key.next_due()).min()
        };
        self.keys.iter().filter_map(of_key).min()
    }

    /// Somebody in line goes away.
    pub(crate) fn give_up(&mut self, ticket: Ticket) {
        self.line.leave(ticket);
    }

    /// A request was written to an established connection.
    pub(crate) fn sent(&mut self, now: Duration, grant: Grant) {
        self.keys[grant.key].sent(now, grant.call);
    }

    /// Its response began.
    pub(crate) fn answered(&mut self, now: Duration, grant: Grant) {
        self.keys[grant.key].answered(now, grant.call);
    }

    /// Its call is over.
    pub(crate) fn ended(&mut self, now: Duration, grant: Grant, ending: Ending) {
        if let Some(held) = self.keys[grant.key].ended(now, grant.call, ending) {
            self.pace = Some(self.pace.map_or(held, |pace| (pace * 7 + held) / 8));
        }
    }

    /// The provider says that a key has to wait.
    pub(crate) fn rest(&mut self, key: usize, until: Duration) {
        self.keys[key].rest(until);
        self.rested = true;
    }

    /// The provider does not take a key.
    pub(crate) fn deny(&mut self, key: usize, until: Duration) {
        self.denied_until[key] = self.denied_until[key].max(until);
        self.rest(key, until);
    }

    /// How long a call would wait that stands at the front now.
    pub(crate) fn forecast(&self, now: Duration, want: Want) -> Duration {
        self.start_after(now, (0, 0), &want).saturating_sub(now).max(RETRY_AFTER_MIN)
    }

    /// Keys that are neither denied nor resting.
    pub(crate) fn keys_well(&self, now: Duration) -> usize {
        self.keys.iter().filter(|key| key.resting_until() <= now).count()
    }

    pub(crate) fn in_line(&self) -> usize {
        self.line.len()
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn grant(&mut self, now: Duration, ticket: Ticket, key: usize, want: Want) -> Grant {
        let call = CallId(self.number());
        self.keys[key].take(now, call, want.tokens);
        self.turn = key + 1;
        Grant { call, key, ticket }
    }

    /// The key with most headroom, where there is one with any; among equals the one whose turn it is.
    fn best(&mut self, now: Duration, tokens: u64) -> Option<usize> {
        let count = self.keys.len();
        let mut best = None;
        for step in 0..count {
            let index = (self.turn + step) % count;
            let headroom = self.keys[index].headroom(now, tokens);
            if headroom > best.map_or(0, |(most, _)| most) {
                best = Some((headroom, index));
            }
        }
        best.map(|(_, index)| index)
    }

    fn start_after(&self, now: Duration, (calls, tokens): (u64, u64), want: &Want) -> Duration {
        let needed = Needed { calls: calls + 1, tokens: tokens.saturating_add(want.tokens) };
        forecast::start(&self.keys, now, needed, self.pace)
    }

    fn without_key(&self, now: Duration) -> Option<Refusal> {
        let back = self.denied_until.iter().min().copied().unwrap_or(Duration::MAX);
        (back > now).then(|| Refusal { why: Why::NoKey, retry_after: back.saturating_sub(now) })
    }
}
