//! Lines are read from the store, each as far as there is room.

use std::{collections::HashSet, sync::Arc};

use uuid::Uuid;

use super::{
    Cursors, Joins, Window,
    line::{self, InSight},
    order,
};
use crate::store::{Candidate, Line, ReadyKey, WriterId};

/// When much is held already, a line without anything still gets so many.
pub(super) const CROWDED_OUT: usize = 16;

/// A line to be read from the store.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) line: Arc<Line>,
    pub(crate) after: Vec<ReadyKey>,
    pub(crate) limit: usize,
    /// From its first one on, not from the last one seen: what is not there any more is dropped.
    whole: bool,
    /// From the very beginning: what was seen counts as not seen.
    pub(crate) anew: bool,
    seen_before: Cursors,
    /// How far each writer was when it began.
    passed: Cursors,
}

/// What a read changes.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) come: Vec<Joins>,
    pub(crate) gone: Vec<Uuid>,
}

impl Window {
    /// The next line to be read: one without anything first.
    pub(crate) fn next_read(&mut self) -> Option<Read> {
        let (_, line) = self.needy.first()?.clone();
        let room = self.bounds.total_max.saturating_sub(self.held.len()).max(CROWDED_OUT);
        let (crowded, line_max) = (self.crowded, self.bounds.line_max.min(room));
        let floors = self.floors.get(&line).cloned().unwrap_or_default();
        let passed = self.passed.clone();
        Some(self.change(&line, |sight| {
            let whole = crowded || sight.anew;
            let mut after = if whole { sight.start() } else { sight.seen.clone() };
            for (writer, floor) in floors {
                let rank = after.entry(writer).or_insert(floor);
                *rank = floor.max(*rank);
            }
            let limit = if whole { line_max } else { line_max.saturating_sub(sight.held.len()).max(1) };
            let seen_before = sight.seen.clone();
            let anew = sight.begin_read();
            Read { line: Arc::clone(&line), after: keys(&after), limit, whole, anew, seen_before, passed }
        }))
    }

    /// A line was read.
    pub(crate) fn read(&mut self, read: &Read, found: Vec<Candidate>) -> Changes {
        let (crowded, me, limit) = (self.crowded, self.me, read.limit);
        let line_max = self.bounds.line_max;
        let room = self.bounds.total_max.saturating_sub(self.held.len()).max(CROWDED_OUT);
        if read.anew {
            self.raise_floors(read, &found);
        }
        let mut changes = self.change(&read.line, |sight| {
            let mut changes = Changes::default();
            let ends = line::ends(&found, limit);
            if read.whole {
                changes.gone = sight.drop_missing(&found, &ends, &read.seen_before);
            }
            sight.more = sight.passed_by || !ends.is_empty();
            sight.span = order::span(&found).unwrap_or(sight.span);
            let mut stopped: HashSet<WriterId> = ends.keys().copied().collect();
            let mut full = HashSet::new();
            // What is back at another place while a claim of its old one is under way is read later, too.
            let here = sight.ids();
            for candidate in order::merged(found) {
                if full.contains(&candidate.key.writer) {
                    continue;
                }
                let room = sight.held.len() < line_max && changes.come.len() < room;
                if sight.is_known(candidate.key) {
                    sight.see(candidate.key);
                } else if room && !here.contains(&candidate.id) {
                    changes.come.push(sight.take_in(candidate, crowded.then_some(me)));
                } else {
                    // The rest of this writer's is read on from here.
                    sight.more = true;
                    full.insert(candidate.key.writer);
                }
            }
            if read.anew {
                stopped.extend(full);
                sight.seen_whole_but(&stopped, &read.seen_before);
            }
            sight.end_read();
            changes
        });
        for id in &changes.gone {
            self.held.remove(id);
        }
        for joins in &changes.come {
            self.held.insert(joins.candidate.id, (Arc::clone(&read.line), joins.candidate.key));
        }
        // A line that nobody wants any more holds nothing.
        if !self.wanted.contains(&*read.line.agent) && self.lines.contains_key(&read.line) {
            let let_go = self.change(&read.line, InSight::let_go);
            let_go.iter().for_each(|id| drop(self.held.remove(id)));
            changes.come.clear();
            changes.gone.extend(let_go);
        }
        changes
    }

    /// A line could not be read. One from the very beginning may take longer than anybody waits: it goes on from what was
    /// seen, until all lines are asked for again.
    pub(crate) fn unread(&mut self, read: &Read) {
        self.change(&read.line, |sight| {
            sight.more = true;
            if read.anew {
                sight.seen.clone_from(&read.seen_before);
            }
            sight.end_read();
        });
    }

    /// A line was read from the beginning. A writer's ranks become visible in their order, so below its first one, or
    /// below how far it was known to be where it has none, there is nothing and nothing comes.
    fn raise_floors(&mut self, read: &Read, found: &[Candidate]) {
        let mut lowest = Cursors::new();
        for Candidate { key, .. } in found {
            let rank = lowest.entry(key.writer).or_insert(key.rank);
            *rank = key.rank.min(*rank);
        }
        lowest.values_mut().for_each(|rank| *rank -= 1);
        for (writer, rank) in &read.passed {
            lowest.entry(*writer).or_insert(*rank);
        }
        if self.floors.len() >= self.bounds.lines_max && !self.floors.contains_key(&read.line) {
            self.floors.clear();
        }
        let floors = self.floors.entry(Arc::clone(&read.line)).or_default();
        for (writer, rank) in lowest {
            let floor = rank.saturating_sub(self.bounds.margin);
            if floor > 0 {
                let known = floors.entry(writer).or_insert(floor);
                *known = floor.max(*known);
            }
        }
    }
}

/// Where a read of the store goes on.
pub(super) fn keys(cursors: &Cursors) -> Vec<ReadyKey> {
    cursors.iter().map(|(writer, rank)| ReadyKey { writer: *writer, rank: *rank }).collect()
}
