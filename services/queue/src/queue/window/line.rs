//! One line's window.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use uuid::Uuid;

use super::{Cursors, Joins, order};
use crate::store::{Candidate, Line, ReadyKey, WriterId};

/// What is in sight of one line.
#[derive(Debug)]
pub(super) struct InSight {
    agent: Arc<str>,
    tenant: Arc<str>,
    /// What is held; true while it is being claimed.
    pub(super) held: BTreeMap<ReadyKey, (Uuid, bool)>,
    /// Everything ready up to here was seen: it is held, or was taken.
    pub(super) seen: Cursors,
    /// There may be something beyond what was seen.
    pub(super) more: bool,
    /// It is being read.
    pub(super) reading: bool,
    /// Something became ready that was not taken in, while it was being read.
    pub(super) passed_by: bool,
    /// It must be read from its beginning.
    pub(super) anew: bool,
    /// The time that passed between the first and the last of what was read together.
    pub(super) span: i64,
    /// What left while it was being read: the read may still show it there.
    left: HashSet<ReadyKey>,
    /// Claims since it was read, and those of them that found it taken.
    claimed: usize,
    taken: usize,
    /// The most that was held since.
    loaded: usize,
}

impl InSight {
    pub(super) fn new(line: &Line, seen: Cursors) -> Self {
        Self {
            agent: line.agent.as_str().into(),
            tenant: line.tenant.as_str().into(),
            held: BTreeMap::new(),
            seen,
            more: false,
            reading: false,
            passed_by: false,
            anew: false,
            span: 0,
            left: HashSet::new(),
            claimed: 0,
            taken: 0,
            loaded: 0,
        }
    }

    /// Nothing is left to remember: whatever comes, comes by.
    pub(super) fn is_idle(&self) -> bool {
        self.held.is_empty() && !self.more && !self.reading
    }

    /// Whether it may have something, of which nothing is held.
    pub(super) fn is_dry(&self) -> bool {
        (self.more || self.reading) && self.held.is_empty()
    }

    /// Whether it should be read. Alone, once half of it is used up. Among others it goes stale as they take from it: once
    /// a quarter is used up, or was found to be taken.
    pub(super) fn is_needy(&self, crowded: bool) -> bool {
        if self.reading {
            return false;
        }
        let quarter = (self.loaded / 4).max(1);
        let few = self.held.len() <= self.loaded / 2;
        let stale = crowded && self.claimed >= quarter;
        (self.more && (few || stale)) || (crowded && self.taken >= quarter && !self.held.is_empty())
    }

    pub(super) fn has_seen(&self, key: ReadyKey) -> bool {
        self.seen.get(&key.writer).is_some_and(|rank| key.rank <= *rank)
    }

    pub(super) fn see(&mut self, key: ReadyKey) {
        let seen = self.seen.entry(key.writer).or_insert(key.rank);
        *seen = key.rank.max(*seen);
    }

    pub(super) fn is_known(&self, key: ReadyKey) -> bool {
        self.held.contains_key(&key) || self.left.contains(&key)
    }

    /// What is held was taken elsewhere, and is back at another place. Where a claim of the old one is under way, which
    /// may find it or not, the new one is read later.
    pub(super) fn comes_back(&mut self, from: ReadyKey, to: ReadyKey) -> bool {
        let moves = !self.more && self.held.get(&from).is_some_and(|(_, claimed)| !*claimed);
        if moves {
            self.see(to);
            let held = self.held.remove(&from);
            self.held.extend(held.map(|held| (to, held)));
            if self.reading {
                self.left.insert(from);
            }
        } else {
            self.more = true;
            self.passed_by = self.reading;
        }
        moves
    }

    /// The invocations that are held.
    pub(super) fn ids(&self) -> HashSet<Uuid> {
        self.held.values().map(|(id, _)| *id).collect()
    }

    /// Takes one in. Among others each process has an order of its own within what lies close together.
    pub(super) fn take_in(&mut self, candidate: Candidate, among_others: Option<WriterId>) -> Joins {
        self.see(candidate.key);
        self.held.insert(candidate.key, (candidate.id, false));
        self.loaded = self.held.len().max(self.loaded);
        let (delay, order) = match among_others {
            Some(me) => order::own(candidate.id, me, self.span),
            None => (0, candidate.key.rank),
        };
        Joins { candidate, agent: Arc::clone(&self.agent), tenant: Arc::clone(&self.tenant), delay, order }
    }

    pub(super) fn claim(&mut self, key: ReadyKey) {
        if let Some((_, claimed)) = self.held.get_mut(&key) {
            *claimed = true;
            self.claimed += 1;
        }
    }

    pub(super) fn unclaim(&mut self, key: ReadyKey) {
        if let Some((_, claimed)) = self.held.get_mut(&key) {
            *claimed = false;
        }
    }

    pub(super) fn leave(&mut self, key: ReadyKey, was_taken: bool) {
        self.held.remove(&key);
        self.taken += usize::from(was_taken);
        if self.reading {
            self.left.insert(key);
        }
    }

    /// Lets go of all but what is being claimed: it is in the store.
    pub(super) fn let_go(&mut self) -> Vec<Uuid> {
        let mut gone = Vec::new();
        let seen = &mut self.seen;
        self.held.retain(|key, (id, claimed)| {
            if !*claimed {
                gone.push(*id);
                // It is read on from before the first of them.
                seen.entry(key.writer).and_modify(|rank| *rank = (key.rank - 1).min(*rank));
            }
            *claimed
        });
        if !gone.is_empty() {
            self.more = true;
            // A read that is under way goes on behind them.
            self.anew |= self.reading;
            self.passed_by = self.reading;
        }
        gone
    }

    /// What was seen counts as not seen.
    pub(super) fn read_anew(&mut self) {
        self.anew = true;
    }

    /// A read begins; whether it is one from the very beginning.
    pub(super) fn begin_read(&mut self) -> bool {
        self.reading = true;
        self.passed_by = false;
        self.left.clear();
        let anew = std::mem::take(&mut self.anew);
        if anew {
            self.seen.clear();
        }
        anew
    }

    /// It was read from the very beginning: of all writers to their last one, but of these.
    pub(super) fn seen_whole_but(&mut self, stopped: &HashSet<WriterId>, before: &Cursors) {
        for (writer, rank) in before.iter().filter(|(writer, _)| !stopped.contains(*writer)) {
            self.see(ReadyKey { writer: *writer, rank: *rank });
        }
    }

    pub(super) fn end_read(&mut self) {
        self.reading = false;
        self.left = HashSet::new();
        self.claimed = 0;
        self.taken = 0;
        self.loaded = self.held.len();
    }

    /// Nothing before these keys is both ready and not held.
    pub(super) fn start(&self) -> Cursors {
        if self.anew {
            return Cursors::new();
        }
        let first = |writer: WriterId| {
            let from = ReadyKey { writer, rank: i64::MIN };
            let held = self.held.range(from..).next().filter(|(key, _)| key.writer == writer);
            held.map(|(key, _)| key.rank - 1)
        };
        // After a read from the very beginning there may be something between what was seen and what was held before.
        let start =
            |(writer, rank): (&WriterId, &i64)| (*writer, first(*writer).map_or(*rank, |first| first.min(*rank)));
        self.seen.iter().map(start).collect()
    }

    /// Drops what a read from the start would show were it there still.
    pub(super) fn drop_missing(&mut self, found: &[Candidate], ends: &Cursors, before: &Cursors) -> Vec<Uuid> {
        let there: HashSet<ReadyKey> = found.iter().map(|candidate| candidate.key).collect();
        let mut gone = Vec::new();
        self.held.retain(|key, (id, claimed)| {
            let known_then = before.get(&key.writer).is_some_and(|rank| key.rank <= *rank);
            let within = ends.get(&key.writer).is_none_or(|end| key.rank <= *end);
            let keep = *claimed || there.contains(key) || !known_then || !within;
            if !keep {
                gone.push(*id);
            }
            keep
        });
        gone
    }
}

/// Where a read stopped at its limit, of each writer that had as many or more.
pub(super) fn ends(found: &[Candidate], limit: usize) -> Cursors {
    let mut counts: BTreeMap<WriterId, (usize, i64)> = BTreeMap::new();
    for candidate in found {
        let (count, last) = counts.entry(candidate.key.writer).or_insert((0, i64::MIN));
        *count += 1;
        *last = candidate.key.rank.max(*last);
    }
    counts.into_iter().filter(|(_, (count, _))| *count >= limit).map(|(writer, (_, last))| (writer, last)).collect()
}
