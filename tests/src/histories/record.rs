//! A record as an object that does one thing at a time: written on condition, and able to lose what was only cached.

use super::linear::Object;

/// A value that one write gave the record; every write has its own, so it stands for the version too.
pub type Mark = u64;

/// One record, at first absent.
#[derive(Debug, Clone, Copy)]
pub struct Record {
    /// The most CACHED writes that one end of an epoch may lose.
    pub lost_max: usize,
}

/// What a write was to meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expects {
    /// Anything.
    Anything,
    /// No record.
    Nothing,
    /// What this write made.
    Mark(Mark),
}

/// What was asked, and answered.
#[derive(Debug, Clone)]
pub enum Action {
    /// Read: what was there.
    Read(Option<Mark>),
    /// Written (`None`: deleted).
    Write {
        /// What it was to meet.
        expects: Expects,
        /// What it made.
        makes: Option<Mark>,
        /// Whether it was acknowledged as stored.
        durable: bool,
    },
    /// Refused, because this was there.
    Conflict {
        /// What it was to meet.
        expects: Expects,
        /// What it met.
        met: Option<Mark>,
    },
    /// Refused, because what it follows from is gone.
    Gone {
        /// What it followed from.
        expects: Mark,
    },
    /// The end of an epoch with loss.
    Loss,
}

/// What a record is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// What is stored for sure.
    stored: Option<Mark>,
    /// What may be cached only, oldest first.
    cached: Vec<Option<Mark>>,
    /// What was lost.
    lost: Vec<Mark>,
}

impl State {
    fn now(&self) -> Option<Mark> {
        self.cached.last().copied().unwrap_or(self.stored)
    }

    fn write(&self, makes: Option<Mark>, durable: bool) -> Self {
        let mut after = self.clone();
        if durable {
            // A flush takes all that was before.
            (after.stored, after.cached) = (makes, Vec::new());
        } else {
            after.cached.push(makes);
        }
        after
    }

    /// The newest writes are gone, so many.
    fn lose(&self, many: usize) -> Self {
        let mut after = self.clone();
        let gone = after.cached.split_off(after.cached.len() - many);
        after.lost.extend(gone.into_iter().flatten());
        after
    }
}

impl Object for Record {
    type State = State;
    type Action = Action;

    fn begin(&self) -> State {
        State { stored: None, cached: Vec::new(), lost: Vec::new() }
    }

    fn after(&self, state: &State, action: &Action) -> Vec<State> {
        let now = state.now();
        let meets = |expects: &Expects| match expects {
            Expects::Anything => true,
            Expects::Nothing => now.is_none(),
            Expects::Mark(mark) => now == Some(*mark),
        };
        let holds = match action {
            Action::Read(seen) => *seen == now,
            Action::Write { expects, .. } => meets(expects),
            Action::Conflict { expects, met } => *met == now && !meets(expects),
            Action::Gone { expects } => state.lost.contains(expects),
            Action::Loss => true,
        };
        match action {
            _ if !holds => Vec::new(),
            Action::Write { makes, durable, .. } => vec![state.write(*makes, *durable)],
            Action::Loss => (1..=state.cached.len().min(self.lost_max)).map(|many| state.lose(many)).collect(),
            Action::Read(_) | Action::Conflict { .. } | Action::Gone { .. } => vec![state.clone()],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histories::linear::{Contradiction, Event, check};

    /// One after another; what is never answered is given as `None`.
    fn judge(actions: impl IntoIterator<Item = (Action, bool)>) -> Result<(), Contradiction> {
        let one = |(place, (action, answered)): (usize, (Action, bool))| {
            let called = 10 * place as u64;
            Event { action, called, returned: answered.then_some(called + 5) }
        };
        check(&Record { lost_max: 2 }, actions.into_iter().enumerate().map(one).collect())
    }

    fn write(expects: Expects, makes: Mark, durable: bool) -> (Action, bool) {
        (Action::Write { expects, makes: Some(makes), durable }, true)
    }

    fn read(mark: Mark) -> (Action, bool) {
        (Action::Read(Some(mark)), true)
    }

    const LOSS: (Action, bool) = (Action::Loss, false);

    #[test]
    fn a_lost_update_is_seen() {
        let both =
            [write(Expects::Nothing, 1, true), write(Expects::Mark(1), 2, true), write(Expects::Mark(1), 3, true)];
        assert!(judge(both).is_err());
    }

    #[test]
    fn a_blind_overwrite_passes_and_is_no_lost_update() {
        judge([write(Expects::Nothing, 1, true), write(Expects::Anything, 2, true), read(2)]).unwrap();
    }

    #[test]
    fn only_the_newest_cached_writes_may_be_lost_and_only_with_a_report() {
        let written = [write(Expects::Nothing, 1, true), write(Expects::Mark(1), 2, false)];
        judge(written.clone().into_iter().chain([LOSS, read(1)])).unwrap();
        assert!(judge(written.clone().into_iter().chain([read(1)])).is_err(), "nobody reported a loss");
        let stored = write(Expects::Mark(2), 3, true);
        assert!(judge(written.into_iter().chain([stored, LOSS, read(1)])).is_err(), "a durable write was lost");
    }

    #[test]
    fn a_loss_beyond_the_bound_is_seen() {
        let three = [1, 2, 3].map(|mark| write(Expects::Anything, mark, false));
        judge(three.clone().into_iter().chain([LOSS, read(1)])).unwrap();
        let all = (Action::Read(None), true);
        assert!(judge(three.into_iter().chain([LOSS, all])).is_err());
    }

    #[test]
    fn a_version_is_gone_only_where_it_was_lost() {
        let gone = (Action::Gone { expects: 2 }, true);
        let written = [write(Expects::Nothing, 1, true), write(Expects::Mark(1), 2, false)];
        judge(written.clone().into_iter().chain([LOSS, gone.clone()])).unwrap();
        let overwritten = write(Expects::Mark(2), 3, true);
        assert!(judge(written.into_iter().chain([overwritten, gone])).is_err(), "it was only stale");
    }
}
