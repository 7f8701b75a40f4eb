//! Submissions that the store has not answered yet: whose they are, and since when they wait.

use std::collections::VecDeque;
use std::time::Duration;

use holdfast_resilience::breaker::Permit;
use tokio::time::Instant;

use super::GiveUp;

/// Where the tag of a command is kept while the store has the command.
#[derive(Debug, Clone, Copy)]
pub struct Slot {
    round: u64,
    at: usize,
}

/// In the order of their submission.
pub(super) struct Rounds<T> {
    rounds: VecDeque<Round<T>>,
    /// The number of the first.
    first: u64,
    /// Those before this one have been given up.
    patient: u64,
}

/// What was submitted together.
struct Round<T> {
    tags: Vec<Option<T>>,
    left: usize,
    since: Instant,
    /// Until the store's first answer, or until it was given up.
    permit: Option<Permit>,
}

impl<T> Default for Rounds<T> {
    fn default() -> Self {
        Self { rounds: VecDeque::new(), first: 0, patient: 0 }
    }
}

impl<T> Rounds<T> {
    /// Keeps the tags of a submission; a slot for each.
    pub(super) fn begin(&mut self, tags: Vec<T>, permit: Permit, now: Instant) -> impl Iterator<Item = Slot> + use<T> {
        let left = tags.len();
        let round = self.first + self.rounds.len() as u64;
        let tags = tags.into_iter().map(Some).collect();
        self.rounds.push_back(Round { tags, left, since: now, permit: Some(permit) });
        (0..left).map(move |at| Slot { round, at })
    }

    /// Hands a tag out; with the first of a round its permit, unless the round was given up.
    pub(super) fn take(&mut self, slot: Slot) -> (T, Option<Permit>) {
        let round = slot.round.checked_sub(self.first).and_then(|at| self.rounds.get_mut(at as usize));
        let Some(round) = round else { unreachable!("a round stays until all of it is answered") };
        let Some(tag) = round.tags[slot.at].take() else { unreachable!("a command is answered once") };
        round.left -= 1;
        let permit = round.permit.take();
        while self.rounds.front().is_some_and(|round| round.left == 0) {
            self.rounds.pop_front();
            self.first += 1;
        }
        (tag, permit)
    }
}

impl<T: GiveUp> Rounds<T> {
    /// Gives up what has waited for too long; the permit of one of them, for all together are one failure.
    pub(super) fn overdue(
        &mut self,
        now: Instant,
        patience: Duration,
        mut give_up: impl FnMut(&mut T),
    ) -> Option<Permit> {
        let mut permit = None;
        // Those that were answered since have not waited for too long.
        self.patient = self.patient.max(self.first);
        let skip = (self.patient - self.first) as usize;
        for round in self.rounds.iter_mut().skip(skip).take_while(|round| round.since + patience <= now) {
            round.tags.iter_mut().flatten().for_each(&mut give_up);
            permit = permit.or(round.permit.take());
            self.patient += 1;
        }
        permit
    }

    /// Since when the oldest waits that was not given up.
    pub(super) fn oldest(&self) -> Option<Instant> {
        let skip = self.patient.saturating_sub(self.first) as usize;
        self.rounds.get(skip).map(|round| round.since)
    }
}
