//! What a process has in sight of the ready work in a store that it shares: a bounded window of every line (agent type,
//! tenant, priority) that somebody here wants work of. No I/O and no clock.
//!
//! Invariants:
//! - Every ready row of a wanted line was seen and is held here, or its line is marked as having [more](line::InSight) in
//!   the store. What becomes ready comes by its writer's order, from this process's own answers or from the tail; whoever
//!   marks a line reads on from where it stopped. So none is missed, though nothing is read twice while this process is
//!   alone.
//! - What is held is a hint: a claim says whether it is still there. What is not is dropped.
//! - No more is held than `line_max` for each line and `total_max` in all.

mod line;
mod order;
mod read;
mod scan;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;

use uuid::Uuid;

use self::line::InSight;
pub(crate) use self::read::{Changes, Read};
use crate::store::{Candidate, Line, ReadyKey, WriterId};

/// The last rank seen of each writer.
pub(crate) type Cursors = BTreeMap<WriterId, i64>;

/// How much is held.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Of one line.
    pub(crate) line_max: usize,
    /// In all.
    pub(crate) total_max: usize,
    /// Lines that are remembered. Beyond them all lines must be asked for again.
    pub(crate) lines_max: usize,
    /// How far below the first one that was found a read from the beginning starts.
    pub(crate) margin: i64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { line_max: 256, total_max: 1 << 16, lines_max: 1 << 16, margin: 1_024 }
    }
}

/// What is in sight.
#[derive(Debug)]
pub(crate) struct Window {
    me: WriterId,
    bounds: Bounds,
    /// Others live: what is held goes stale, and two processes should not try the same.
    crowded: bool,
    lines: BTreeMap<Arc<Line>, InSight>,
    held: HashMap<Uuid, (Arc<Line>, ReadyKey)>,
    /// Nothing at or below these ranks is ready in a line any more, nor ever will be: what becomes ready again gets a new
    /// rank. Reads from the beginning start here, and not at what was taken long ago.
    floors: HashMap<Arc<Line>, Cursors>,
    /// What came by was seen up to here, of each writer.
    passed: Cursors,
    wanted: HashSet<Arc<str>>,
    /// Lines to be read; those without anything first.
    needy: BTreeSet<(bool, Arc<Line>)>,
    /// Lines of an agent type that have more in the store.
    more: HashMap<Arc<str>, usize>,
    /// Wanted lines of an agent type that may have something, of which nothing is held.
    dry: HashMap<Arc<str>, usize>,
    /// All lines must be asked for, or are being asked for.
    scan: bool,
    scanning: bool,
}

/// A candidate as it joins.
#[derive(Debug, Clone)]
pub(crate) struct Joins {
    pub(crate) candidate: Candidate,
    pub(crate) agent: Arc<str>,
    pub(crate) tenant: Arc<str>,
    /// Added to its turn, and what decides between equal ones: processes do not all try the same first.
    pub(crate) delay: i64,
    pub(crate) order: i64,
}

impl Window {
    /// Nothing is known: all lines must be asked for. `passed` is how far each writer was before that is done.
    pub(crate) fn new(me: WriterId, bounds: Bounds, passed: Cursors) -> Self {
        Self {
            me,
            bounds,
            crowded: false,
            lines: BTreeMap::new(),
            held: HashMap::new(),
            floors: HashMap::new(),
            passed,
            wanted: HashSet::new(),
            needy: BTreeSet::new(),
            more: HashMap::new(),
            dry: HashMap::new(),
            scan: true,
            scanning: false,
        }
    }

    /// Others live, or do not.
    pub(crate) fn set_crowded(&mut self, crowded: bool) {
        self.crowded = crowded;
    }

    /// Whether somebody here wants work.
    pub(crate) fn is_wanting(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// Something has become ready. Whether it joins what is held.
    pub(crate) fn came(&mut self, candidate: Candidate) -> Option<Joins> {
        let key = candidate.key;
        let line = match self.known(&candidate.line) {
            Some(line) => line,
            None if self.lines.len() >= self.bounds.lines_max => {
                self.scan = true;
                self.pass(key);
                return None;
            }
            // Nothing of it was ready before this.
            None => self.meet(candidate.line.clone(), self.passed.clone()),
        };
        self.pass(key);
        let wanted = self.wanted.contains(&*line.agent);
        let room = self.held.len() < self.bounds.total_max;
        let (line_max, me, crowded) = (self.bounds.line_max, self.me, self.crowded);
        let (id, held_at) = (candidate.id, self.held.get(&candidate.id).map(|(_, key)| *key));
        let mut moved = false;
        let joins = self.change(&line, |sight| {
            if sight.has_seen(key) {
                return None;
            }
            if let Some(from) = held_at {
                moved = sight.comes_back(from, key);
                return None;
            }
            if !wanted || !room || sight.more || sight.held.len() >= line_max {
                sight.passed_by = sight.reading;
                sight.more = true;
                return None;
            }
            Some(sight.take_in(candidate, crowded.then_some(me)))
        });
        if moved || joins.is_some() {
            self.held.insert(id, (line, key));
        }
        joins
    }

    /// One is to be claimed. Where it stands.
    pub(crate) fn claim(&mut self, id: Uuid) -> Option<ReadyKey> {
        let (line, key) = self.held.get(&id).cloned()?;
        self.change(&line, |sight| sight.claim(key));
        Some(key)
    }

    /// A claim was answered: it is taken, by this process or by another.
    pub(crate) fn answered(&mut self, id: Uuid, granted: bool) {
        let Some((line, key)) = self.held.remove(&id) else { return };
        self.change(&line, |sight| sight.leave(key, !granted));
    }

    /// The store failed: it may be there still.
    pub(crate) fn unanswered(&mut self, id: Uuid) {
        self.scan = true;
        if let Some((line, key)) = self.held.get(&id).cloned() {
            self.change(&line, |sight| sight.unclaim(key));
        }
    }

    /// It has ended, or waits for something: it is held no more.
    pub(crate) fn forget(&mut self, id: Uuid) {
        if let Some((line, key)) = self.held.remove(&id) {
            self.change(&line, |sight| sight.leave(key, false));
        }
    }

    /// Somebody here wants work of an agent type.
    pub(crate) fn want(&mut self, agent: &Arc<str>) {
        if self.wanted.insert(Arc::clone(agent)) {
            for line in self.lines_of(agent) {
                self.change(&line, |_| {});
            }
        }
    }

    /// Nobody here wants work of any other type: what is held of them is let go.
    pub(crate) fn want_only(&mut self, agents: &HashSet<Arc<str>>) -> Vec<Uuid> {
        let unwanted: Vec<Arc<str>> = self.wanted.iter().filter(|agent| !agents.contains(*agent)).cloned().collect();
        let mut gone = Vec::new();
        for agent in unwanted {
            self.wanted.remove(&agent);
            for line in self.lines_of(&agent) {
                let let_go = self.change(&line, InSight::let_go);
                for id in &let_go {
                    self.held.remove(id);
                }
                gone.extend(let_go);
            }
        }
        gone
    }

    /// Whether an agent type has ready work that is not in sight.
    pub(crate) fn has_more(&self, agent: &str) -> bool {
        self.scan || self.scanning || self.more.contains_key(agent)
    }

    /// The agent types somebody here wants work of, of which lines must be read first: nothing of them is held.
    pub(crate) fn dry(&self) -> impl Iterator<Item = &Arc<str>> {
        let all = self.scan || self.scanning;
        self.wanted.iter().filter(move |agent| all || self.dry.contains_key(*agent))
    }

    /// Whether a line should be read.
    pub(crate) fn is_needy(&self) -> bool {
        !self.needy.is_empty()
    }

    /// Whether a line of one of these agent types is to be read, or is being read.
    pub(crate) fn is_needy_of(&self, agents: &[Arc<str>]) -> bool {
        agents.iter().any(|agent| {
            let lines = self.lines.range::<Line, _>((Bound::Included(&first_line(agent)), Bound::Unbounded));
            lines.take_while(|(line, _)| *line.agent == **agent).any(|(_, sight)| sight.is_dry())
        })
    }

    fn known(&self, line: &Line) -> Option<Arc<Line>> {
        self.lines.get_key_value(line).map(|(line, _)| Arc::clone(line))
    }

    fn meet(&mut self, line: Line, seen: Cursors) -> Arc<Line> {
        let line = Arc::new(line);
        self.lines.insert(Arc::clone(&line), InSight::new(&line, seen));
        line
    }

    fn pass(&mut self, key: ReadyKey) {
        let passed = self.passed.entry(key.writer).or_insert(key.rank);
        *passed = key.rank.max(*passed);
    }

    fn lines_of(&self, agent: &str) -> Vec<Arc<Line>> {
        let lines = self.lines.range::<Line, _>((Bound::Included(&first_line(agent)), Bound::Unbounded));
        lines.take_while(|(line, _)| line.agent == agent).map(|(line, _)| Arc::clone(line)).collect()
    }

    /// Changes a line, and with it what follows from how it stands.
    fn change<A>(&mut self, line: &Arc<Line>, change: impl FnOnce(&mut InSight) -> A) -> A {
        let wanted = self.wanted.contains(&*line.agent);
        let Some(sight) = self.lines.get_mut(line) else { unreachable!("a line that is named is known") };
        let (had_more, was_empty, was_dry) = (sight.more, sight.held.is_empty(), sight.is_dry());
        let answer = change(sight);
        let dry = sight.is_dry();
        let (more, empty, idle) = (sight.more, sight.held.is_empty(), sight.is_idle());
        let needy = wanted && sight.is_needy(self.crowded);
        self.needy.remove(&(!was_empty, Arc::clone(line)));
        if needy {
            self.needy.insert((!empty, Arc::clone(line)));
        }
        count(&mut self.more, line, had_more, more);
        count(&mut self.dry, line, was_dry, dry);
        if idle {
            self.lines.remove(line);
        }
        answer
    }
}

/// Counts an agent type's lines of which something holds.
fn count(counts: &mut HashMap<Arc<str>, usize>, line: &Line, held: bool, holds: bool) {
    match (held, holds) {
        (false, true) => *counts.entry(line.agent.as_str().into()).or_default() += 1,
        (true, false) => {
            if let Some(count) = counts.get_mut(&*line.agent) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(&*line.agent);
                }
            }
        }
        _ => {}
    }
}

/// Sorts before every line of an agent type.
fn first_line(agent: &str) -> Line {
    Line { agent: agent.to_owned(), tenant: String::new(), priority: i32::MIN }
}

#[cfg(test)]
mod tests;
