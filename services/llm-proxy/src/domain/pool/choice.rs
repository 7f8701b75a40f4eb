//! Who starts, and with which key.

use std::time::Duration;

use super::{CallId, Grant, KeyId, Lane, Need, Pool, RETRY_AFTER_MAX, Refusal, Want, Why, refusal};
use crate::domain::{
    forecast,
    key::Room,
    line::{Blocked, Ticket, Waiter},
};

/// Who cannot start where somebody cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blocks {
    Lane,
    All,
}

impl Pool {
    pub(super) fn grant(&mut self, now: Duration, ticket: Ticket, key: KeyId, want: &Want) -> Grant {
        let call = CallId(self.number());
        self.turn = self.in_use.iter().position(|id| *id == key).map_or(0, |index| index + 1);
        self.keys.get_mut(&key).expect("it was found").take(now, call, want.lane, want.need);
        let charge = self.line.served(want);
        self.calls.insert(call, charge);
        Grant { call, key, lane: want.lane, ticket }
    }

    /// A key for a newcomer, where nobody who could start stands before it.
    pub(super) fn free_for(&mut self, now: Duration, ticket: &Ticket, want: &Want) -> Option<KeyId> {
        let mut blocked = Blocked::default();
        while !self.line.is_ahead(ticket, want, &blocked) {
            let Waiter { want: ahead, .. } = self.line.next(&blocked)?;
            match self.best(now, &ahead) {
                Err(Blocks::Lane) if ahead.lane != want.lane => blocked.block(ahead.lane),
                _ => return None,
            }
        }
        self.best(now, want).ok()
    }

    /// The key with most headroom, where there is one with any; among equals the one whose turn it is.
    pub(super) fn best(&mut self, now: Duration, want: &Want) -> Result<KeyId, Blocks> {
        let count = self.in_use.len();
        let (mut best, mut blocks) = (None, Blocks::All);
        for step in 0..count {
            let index = (self.turn + step) % count;
            let Some(key) = self.keys.get_mut(&self.in_use[index]) else { continue };
            match key.room(now, want.lane, want.need) {
                Room::Calls(calls) if calls > best.map_or(0, |(most, _)| most) => best = Some((calls, index)),
                Room::Model => blocks = Blocks::Lane,
                Room::Calls(_) | Room::Own | Room::Away => {}
            }
        }
        best.map(|(_, index)| self.in_use[index]).ok_or(blocks)
    }

    /// What of a need any key could give: a call that is larger than a limit takes all of it, and no more.
    pub(super) fn most(&self, lane: Lane, need: Need) -> Need {
        let most = self.usable().into_iter().map(|key| key.most(lane, need));
        most.reduce(|most, of_key| Need { input: most.input.max(of_key.input), output: most.output.max(of_key.output) })
            .unwrap_or(need)
    }

    pub(super) fn start_of(&self, now: Duration, ticket: &Ticket, want: &Want) -> Duration {
        forecast::start(&self.usable(), now, want, self.line.before(ticket, want), self.pace)
    }

    pub(super) fn usable_at(&self, now: Duration) -> Duration {
        self.usable().iter().map(|key| key.usable_at()).min().unwrap_or(now).max(now)
    }

    pub(super) fn without_key(&self, now: Duration) -> Option<Refusal> {
        let usable = self.usable();
        let back = match usable.iter().map(|key| key.usable_at()).min() {
            Some(_) if usable.iter().any(|key| !key.is_denied()) => return None,
            Some(at) => at,
            None => now + RETRY_AFTER_MAX,
        };
        (back > now).then(|| refusal(Why::NoKey, now, back))
    }
}
