//! Epochs: the uninterrupted lives of whatever decides writes.

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use super::Micros;

/// The random name of an epoch: a life after a restored backup never takes the name of the life before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EpochId(pub u64);

impl fmt::Display for EpochId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// An epoch that ended with loss, not folded yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Which one.
    pub epoch: EpochId,
    /// When its end was found.
    pub at: Micros,
}

/// What is known about all epochs of this store.
#[derive(Debug, Clone)]
pub struct Epochs {
    current: EpochId,
    lost: HashMap<EpochId, Micros>,
    folded: HashSet<EpochId>,
}

impl Epochs {
    /// Epochs that end with loss are told apart for so many ends at most, so that vectors stay small in a crash loop.
    pub const LOST_MAX: usize = 32;

    /// Knowledge that begins with one epoch.
    pub fn new(current: EpochId) -> Self {
        Self { current, lost: HashMap::new(), folded: HashSet::new() }
    }

    /// The epoch in which writes are decided now.
    pub fn current(&self) -> EpochId {
        self.current
    }

    /// An epoch that ended without loss, or with a loss long ago: its counts go into the floor at the next write.
    pub fn is_folded(&self, epoch: EpochId) -> bool {
        self.folded.contains(&epoch)
    }

    /// An epoch that ended with loss, whose versions are still told apart.
    pub fn is_lost(&self, epoch: EpochId) -> bool {
        self.lost.contains_key(&epoch)
    }

    /// Adds an epoch that ended with loss.
    pub fn add_lost(&mut self, ended: Ended) {
        self.lost.insert(ended.epoch, ended.at);
    }

    /// Folds an epoch: from now on its versions count as behind.
    pub fn fold(&mut self, epoch: EpochId) {
        if epoch != self.current {
            self.lost.remove(&epoch);
            self.folded.insert(epoch);
        }
    }

    /// The lost epochs whose time for being told apart is over: those that ended before `horizon`, and the oldest
    /// beyond [`Self::LOST_MAX`]. The caller makes the folding durable before it applies it, so that a clock that jumps
    /// back undoes nothing.
    pub fn due(&self, horizon: Micros) -> Vec<EpochId> {
        let mut newest_first: Vec<_> = self.lost.iter().map(|(epoch, at)| (*at, *epoch)).collect();
        newest_first.sort_unstable_by(|a, b| b.cmp(a));
        newest_first
            .into_iter()
            .enumerate()
            .filter(|(place, (at, _))| *place >= Self::LOST_MAX || *at < horizon)
            .map(|(_, (_, epoch))| epoch)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_epochs_fold_by_age_and_by_number() {
        let mut epochs = Epochs::new(EpochId(0));
        for n in 1..=40 {
            epochs.add_lost(Ended { epoch: EpochId(n), at: n as Micros });
        }
        let due = epochs.due(3);
        assert_eq!(due.len(), 8, "the newest 32 stay");
        assert!(due.iter().all(|epoch| epoch.0 <= 8));
        for epoch in due {
            epochs.fold(epoch);
        }
        assert_eq!(epochs.due(11).len(), 2);
        assert!(epochs.is_folded(EpochId(8)) && !epochs.is_folded(EpochId(9)));
    }

    #[test]
    fn the_current_epoch_never_folds() {
        let mut epochs = Epochs::new(EpochId(7));
        epochs.fold(EpochId(7));
        assert!(!epochs.is_folded(EpochId(7)));
    }
}
