//! A store in small, with other processes at it, and one window.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::*;

const AGENTS: [&str; 2] = ["a", "b"];
const TENANTS: [&str; 2] = ["t", "u"];
/// The others: one was there before, one comes later.
const OTHERS: [WriterId; 2] = [OTHER, 7];
const TAIL_MAX: usize = 3;

pub(super) struct World {
    window: Window,
    bounds: Bounds,
    rows: BTreeMap<ReadyKey, Candidate>,
    ranks: BTreeMap<WriterId, i64>,
    /// What the schedule holds for taking.
    shown: BTreeSet<Uuid>,
    claimed: Vec<Uuid>,
    reads: VecDeque<(Read, Vec<Candidate>)>,
    scans: VecDeque<Vec<Line>>,
}

impl World {
    pub(super) fn new(bounds: Bounds) -> Self {
        let mut world = Self {
            window: Window::new(ME, bounds, Cursors::new()),
            bounds,
            rows: BTreeMap::new(),
            ranks: BTreeMap::new(),
            shown: BTreeSet::new(),
            claimed: Vec::new(),
            reads: VecDeque::new(),
            scans: VecDeque::new(),
        };
        // What another process left before this one began.
        for dice in 0..7 {
            world.insert(OTHER, dice);
        }
        world.window = Window::new(ME, bounds, Cursors::from([(ME, 0), (OTHER, 7)]));
        world
    }

    pub(super) fn ready(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn step(&mut self, step: u8, dice: usize) {
        match step {
            0 | 1 => {
                let candidate = self.insert(ME, dice);
                self.came(candidate);
            }
            2 | 3 => drop(self.insert(OTHERS[dice % 2], dice / 2)),
            4 => self.tail(),
            5 => self.begin_read(),
            6 => self.end_read(),
            7 => self.claim(dice),
            8 => self.answer(dice),
            9 => {
                let taken = self.rows.keys().nth(dice % self.rows.len().max(1)).copied();
                let taken = taken.and_then(|key| self.rows.remove(&key));
                // Handed back at once, it is ready again elsewhere.
                if let Some(row) = taken.filter(|_| dice.is_multiple_of(3)) {
                    let key = self.next_key(OTHERS[dice % 2]);
                    self.rows.insert(key, Candidate { key, ..row });
                }
            }
            10 if dice.is_multiple_of(8) => {
                // A commit whose outcome this process does not know.
                self.insert(ME, dice);
                self.window.doubt();
            }
            10 | 11 => self.begin_scan(),
            12 => self.end_scan(),
            _ => match dice % 4 {
                0 => self.window.set_crowded(dice.is_multiple_of(8)),
                1 => {
                    let wanted = [AGENTS[dice / 4 % 2].into()].into();
                    for id in self.window.want_only(&wanted) {
                        self.shown.remove(&id);
                    }
                }
                2 => self.window.want(&AGENTS[dice / 4 % 2].into()),
                _ => {
                    let last = self.ranks.get(&OTHER).copied().unwrap_or(0);
                    self.window.skip_to(OTHER, last);
                }
            },
        }
    }

    pub(super) fn check(&self) {
        let window = &self.window;
        let lines: usize = window.lines.values().map(|sight| sight.held.len()).sum();
        assert_eq!(lines, window.held.len());
        assert!(window.lines.values().all(|sight| sight.held.len() <= self.bounds.line_max), "a line holds too much");
        let slack = CROWDED_OUT.min(self.bounds.line_max) * window.lines.len();
        assert!(window.held.len() <= self.bounds.total_max + slack, "too much is held");
        assert!(window.lines.len() <= self.bounds.lines_max + AGENTS.len() * TENANTS.len());
        let to_take = window.lines.values().flat_map(|sight| sight.held.values()).filter(|(_, claimed)| !claimed);
        assert_eq!(to_take.map(|(id, _)| *id).collect::<BTreeSet<_>>(), self.shown, "the schedule shows what is held");
        let more = window.lines.iter().filter(|(_, sight)| sight.more).count();
        assert_eq!(window.more.values().sum::<usize>(), more);
        let dry = window.lines.values().filter(|sight| sight.is_dry()).count();
        assert_eq!(window.dry.values().sum::<usize>(), dry);
    }

    /// Everything under way ends, and somebody asks for everything.
    pub(super) fn drain(&mut self) {
        AGENTS.iter().for_each(|agent| self.window.want(&(*agent).into()));
        for _ in 0..3_000 {
            if self.rows.is_empty() {
                return;
            }
            self.tail();
            self.begin_scan();
            self.end_scan();
            self.begin_read();
            self.end_read();
            self.claim(0);
            self.answer(1);
            self.check();
        }
    }

    fn next_key(&mut self, writer: WriterId) -> ReadyKey {
        let rank = self.ranks.entry(writer).or_insert(0);
        *rank += 1;
        ReadyKey { writer, rank: *rank }
    }

    fn insert(&mut self, writer: WriterId, dice: usize) -> Candidate {
        let rank = self.next_key(writer).rank;
        let candidate = candidate(writer, rank, line(AGENTS[dice % 2], TENANTS[dice / 2 % 2]));
        self.rows.insert(candidate.key, candidate.clone());
        candidate
    }

    fn came(&mut self, candidate: Candidate) {
        self.shown.extend(self.window.came(candidate).map(|joins| joins.candidate.id));
    }

    fn tail(&mut self) {
        if !self.window.is_wanting() {
            return;
        }
        let seen = self.window.tail_from();
        let newest = seen.iter().map(|key| key.writer).max().unwrap_or(0);
        for writer in OTHERS {
            let from = match seen.iter().find(|key| key.writer == writer) {
                Some(key) => key.rank,
                None if writer > newest => i64::MIN,
                None => continue,
            };
            let rows = self.rows.range(ReadyKey { writer, rank: from.saturating_add(1) }..);
            let found: Vec<Candidate> =
                rows.map(|(_, row)| row.clone()).take_while(|row| row.key.writer == writer).take(TAIL_MAX).collect();
            found.into_iter().for_each(|candidate| self.came(candidate));
        }
    }

    fn begin_read(&mut self) {
        let Some(read) = self.window.next_read() else { return };
        let after: BTreeMap<WriterId, i64> = read.after.iter().map(|key| (key.writer, key.rank)).collect();
        let mut counts: BTreeMap<WriterId, usize> = BTreeMap::new();
        let found = self.rows.values().filter(|row| {
            let beyond = after.get(&row.key.writer).is_none_or(|rank| row.key.rank > *rank);
            if row.line != *read.line || !beyond {
                return false;
            }
            let count = counts.entry(row.key.writer).or_default();
            *count += 1;
            *count <= read.limit
        });
        let found = found.cloned().collect();
        self.reads.push_back((read, found));
    }

    fn end_read(&mut self) {
        let Some((read, found)) = self.reads.pop_front() else { return };
        let changes = self.window.read(&read, found);
        for id in changes.gone {
            self.shown.remove(&id);
        }
        self.shown.extend(changes.come.into_iter().map(|joins| joins.candidate.id));
    }

    fn claim(&mut self, dice: usize) {
        let Some(id) = self.shown.iter().nth(dice % self.shown.len().max(1)).copied() else { return };
        assert!(self.window.claim(id).is_some());
        self.shown.remove(&id);
        self.claimed.push(id);
    }

    fn answer(&mut self, dice: usize) {
        let Some(id) = self.claimed.pop() else { return };
        if dice.is_multiple_of(16) {
            self.window.unanswered(id);
            self.shown.insert(id);
            return;
        }
        let key = self.rows.values().find(|row| row.id == id).map(|row| row.key);
        self.window.answered(id, key.is_some());
        key.map(|key| self.rows.remove(&key));
    }

    fn begin_scan(&mut self) {
        if self.window.must_scan() && self.window.begin_scan() {
            let lines: BTreeSet<Line> = self.rows.values().map(|row| row.line.clone()).collect();
            self.scans.push_back(lines.into_iter().collect());
        }
    }

    fn end_scan(&mut self) {
        if let Some(lines) = self.scans.pop_front() {
            self.window.scanned(Some(&lines));
        }
    }
}
