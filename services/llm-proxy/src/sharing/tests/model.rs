//! The ledger as a plain value: what the script does, written down a second time.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use crate::{
    domain::Counted,
    sharing::{
        ledger::{PLACES_SPENT, PROMPT, SILENCE, SPARED, micros},
        round::{Answer, Line, MemberId, Round, Said},
    },
};

const SLICES: u64 = 1_000;
const LOOKED_AT: usize = 100;
const WHOLE: u64 = 1_000_000;

#[derive(Debug, Clone, Default)]
struct Row {
    granted: u64,
    over: u64,
    settled: u64,
    returned: u64,
    used: VecDeque<(u64, u64)>,
    last: u64,
    want: u64,
    chunk: u64,
    start: u64,
    knows: bool,
}

#[derive(Debug, Clone, Default)]
struct Standing {
    clock: u64,
    word: u64,
    dead: bool,
    called: bool,
    spared: u64,
}

#[derive(Debug, Clone, Default)]
struct Limit {
    places: bool,
    window: u64,
    start: u64,
    rows: BTreeMap<MemberId, Row>,
}

/// The ledger of one life of Redis.
#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    /// In the order in which they joined.
    members: Vec<(MemberId, Standing)>,
    limits: BTreeMap<Arc<str>, Limit>,
}

/// What a limit comes to in one round.
struct Tally {
    free: u64,
    ahead: u64,
    left: u64,
    others: u64,
    wanted: u64,
    give: u64,
    waits: BTreeSet<MemberId>,
}

#[derive(Default)]
struct Group {
    starts: BTreeMap<MemberId, u64>,
    start: u64,
    waited: bool,
    wants: bool,
    short: bool,
    took: u64,
}

impl Row {
    fn hand(&self) -> u64 {
        self.granted + self.over - self.settled - self.returned
    }

    fn total(&self) -> u64 {
        self.used.iter().map(|(_, amount)| amount).sum()
    }

    fn enter(&mut self, window: u64, arrived: u64, amount: u64) {
        if amount == 0 {
            return;
        }
        let at = counts_until(window, arrived).max(self.last);
        match self.used.back_mut() {
            Some((last, sum)) if *last == at => *sum += amount,
            _ => self.used.push_back((at, amount)),
        }
        self.last = at;
    }

    fn correct(&mut self, window: u64, arrived: u64, fewer: u64, clock: u64) {
        let until = counts_until(window, arrived);
        if until <= clock {
            return;
        }
        if let Some((_, amount)) = self.used.iter_mut().find(|(at, _)| *at >= until) {
            *amount = amount.saturating_sub(fewer);
        }
    }

    fn prune(&mut self, clock: u64) {
        while self.used.front().is_some_and(|(at, _)| *at <= clock) {
            self.used.pop_front();
        }
    }
}

fn counts_until(window: u64, arrived: u64) -> u64 {
    let slice = (window / SLICES).max(1);
    (arrived + window + 1).div_ceil(slice) * slice
}

impl Model {
    /// One round, and who is called to come.
    pub(super) fn round(&mut self, round: &Round) -> (Answer, Vec<MemberId>) {
        let me = &round.member;
        let before = self.members.iter().find(|(id, _)| id == me).map(|(_, standing)| standing.word);
        match self.members.iter().find(|(id, _)| id == me) {
            Some((_, standing)) if standing.dead => return (Answer::Dead, Vec::new()),
            Some((_, standing)) if round.clock <= standing.word => return (Answer::Stale, Vec::new()),
            None if !round.joins => return (Answer::Unknown, Vec::new()),
            None => self.members.push((me.clone(), Standing::default())),
            Some(_) => {}
        }
        let was_away = before.is_some_and(|before| round.clock - before > micros(PROMPT));
        for (id, standing) in &mut self.members {
            if id == me {
                *standing = Standing { clock: round.clock, word: round.clock, ..Standing::default() };
            } else if let Some(clock) = round.others.get(id) {
                standing.clock = standing.clock.max(*clock);
            }
            if was_away && standing.clock - standing.word > micros(PROMPT) {
                standing.spared = standing.clock + micros(SPARED);
            }
        }
        self.bury();
        let mut groups = BTreeMap::new();
        for line in &round.limits {
            self.hear(me, round.clock, line, groups.entry(line.group).or_default());
        }
        for group in groups.values_mut().filter(|group| group.wants && !group.waited) {
            let start = group.starts.entry(me.clone()).or_default();
            *start = (*start).max(group.start);
        }
        let mut tallies: Vec<_> = round.limits.iter().map(|line| self.tally(me, line, &groups[&line.group])).collect();
        for (line, tally) in round.limits.iter().zip(&tallies) {
            groups.get_mut(&line.group).expect("it was entered").short |= line.chunk > tally.left;
        }
        for (line, tally) in round.limits.iter().zip(&mut tallies) {
            self.grant(me, line, tally, groups.get_mut(&line.group).expect("it was entered"));
        }
        for line in &round.limits {
            let group = &groups[&line.group];
            let limit = self.limits.get_mut(&line.name).expect("it was entered");
            limit.start = group.start.max(if group.took > 0 { group.starts[me] } else { 0 });
            self.row(line, me).start = group.starts[me] + group.took;
        }
        let called = self.call(me, round, &tallies, &groups);
        let limits = round.limits.iter().zip(&tallies).map(|(line, tally)| self.say(me, line, tally)).collect();
        let others = self.members.iter().filter(|(id, _)| id != me);
        let clocks = others.map(|(id, standing)| (id.clone(), standing.clock)).collect();
        (Answer::Taken { clocks, limits }, called)
    }

    fn bury(&mut self) {
        let limits = &mut self.limits;
        for (id, standing) in &mut self.members {
            let silent = standing.clock - standing.word >= micros(SILENCE);
            if standing.dead || !silent || standing.clock < standing.spared {
                continue;
            }
            standing.dead = true;
            for limit in limits.values_mut() {
                let window = limit.window;
                let Some(row) = limit.rows.get_mut(id) else { continue };
                row.prune(standing.clock);
                if !limit.places {
                    row.enter(window, standing.clock, row.hand());
                }
                row.returned += row.hand();
                (row.want, row.chunk) = (0, 0);
            }
        }
        self.members.retain(|(id, standing)| {
            let counts =
                |limit: &Limit| limit.rows.get(id).is_some_and(|row| row.last > standing.clock && !row.used.is_empty());
            let stays = !standing.dead || limits.values().any(counts);
            if !stays {
                limits.values_mut().for_each(|limit| drop(limit.rows.remove(id)));
            }
            stays
        });
    }

    fn hear(&mut self, me: &MemberId, clock: u64, line: &Line, group: &mut Group) {
        let fresh = !self.limits.contains_key(&line.name);
        let limit = self.limits.entry(Arc::clone(&line.name)).or_default();
        (limit.places, limit.window) = match line.counted {
            Counted::Window(window) => (false, micros(window)),
            Counted::Places => (true, micros(PLACES_SPENT)),
        };
        let (window, places) = (limit.window, limit.places);
        let row = limit.rows.entry(me.clone()).or_default();
        if fresh {
            row.enter(window, clock, line.limit);
        }
        if line.settled > row.settled && !places {
            row.enter(window, line.settled_at, line.settled - row.settled);
        }
        for (arrived, fewer) in &line.corrections {
            row.correct(window, *arrived, *fewer, clock);
        }
        row.over = row.over.max(line.over);
        row.settled = row.settled.max(line.settled);
        row.returned = row.returned.max(line.returned);
        group.waited |= row.want > 0;
        group.wants |= line.want > 0;
        (row.want, row.chunk) = (line.want, line.chunk);
        for (id, standing) in &self.members {
            limit.rows.entry(id.clone()).or_default().prune(standing.clock);
        }
        group.start = group.start.max(limit.start);
        for (id, row) in &limit.rows {
            let start = group.starts.entry(id.clone()).or_default();
            *start = (*start).max(row.start);
        }
    }

    fn tally(&self, me: &MemberId, line: &Line, group: &Group) -> Tally {
        let rows = &self.limits[&line.name].rows;
        let taken: u64 = rows.values().map(|row| row.total() + row.hand()).sum();
        let free = line.limit.saturating_sub(taken);
        let waits = self.members.iter().filter(|(id, standing)| {
            let prompt = standing.clock - standing.word < micros(PROMPT);
            id != me && !standing.dead && prompt && rows[id].want > 0
        });
        let waits: BTreeSet<_> = waits.map(|(id, _)| id.clone()).collect();
        let before = waits.iter().filter(|id| (group.starts[id], *id) < (group.starts[me], me));
        let ahead: u64 = before.map(|id| rows[id].chunk).sum();
        let wanted = waits.iter().map(|id| rows[id].want).sum();
        Tally { free, ahead, left: free.saturating_sub(ahead), others: waits.len() as u64, wanted, give: 0, waits }
    }

    fn grant(&mut self, me: &MemberId, line: &Line, tally: &mut Tally, group: &mut Group) {
        if !group.short {
            let fair = if tally.wanted > 0 { tally.left / (tally.others + 1) } else { tally.left };
            tally.give = line.want.min(line.chunk.max(fair));
        }
        tally.free -= tally.give;
        let row = self.row(line, me);
        row.granted += tally.give;
        row.want -= tally.give;
        row.chunk = row.chunk.saturating_sub(tally.give);
        group.took = group.took.max((tally.give * WHOLE).div_ceil(line.limit.max(1)));
    }

    fn call(
        &mut self,
        me: &MemberId,
        round: &Round,
        tallies: &[Tally],
        groups: &BTreeMap<u32, Group>,
    ) -> Vec<MemberId> {
        let mut calls = BTreeSet::new();
        for (line, tally) in round.limits.iter().zip(tallies) {
            let missing = self.row(line, me).chunk > tally.free;
            self.row(line, me).knows = tally.others > 0;
            let limit = self.limits.get_mut(&line.name).expect("it was entered");
            for (id, row) in
                limit.rows.iter_mut().filter(|(id, row)| *id != me && missing && row.hand() > 0 && !row.knows)
            {
                row.knows = true;
                calls.insert(id.clone());
            }
        }
        let mut left: Vec<_> = tallies.iter().map(|tally| tally.free).collect();
        for (number, group) in groups {
            let mut order: Vec<_> = self.members.iter().map(|(id, _)| (group.starts[id], id)).collect();
            order.sort_unstable();
            for (_, id) in order {
                let (mut wants, mut enough) = (false, true);
                for (at, (line, tally)) in round.limits.iter().zip(tallies).enumerate() {
                    if line.group == *number && tally.waits.contains(id) {
                        let chunk = self.limits[&line.name].rows[id].chunk;
                        (wants, enough) = (wants || chunk > 0, enough && chunk <= left[at]);
                        left[at] = left[at].saturating_sub(chunk);
                    }
                }
                if wants && enough {
                    calls.insert(id.clone());
                }
            }
        }
        let called =
            self.members.iter_mut().filter(|(id, standing)| calls.contains(id) && !standing.dead && !standing.called);
        called
            .map(|(id, standing)| {
                standing.called = true;
                id.clone()
            })
            .collect()
    }

    fn say(&self, me: &MemberId, line: &Line, tally: &Tally) -> Said {
        let limit = &self.limits[&line.name];
        let clocks = self.members.iter().map(|(id, standing)| (&limit.rows[id], standing.clock));
        let mut frees: Vec<_> =
            clocks.flat_map(|(row, clock)| row.used.iter().map(move |(at, amount)| (at - clock, *amount))).collect();
        frees.sort_unstable();
        let lack = (line.chunk + tally.ahead).saturating_sub(tally.free);
        let mut sum = 0;
        let enough = frees.iter().take(LOOKED_AT).find(|(_, amount)| {
            sum += amount;
            sum >= lack
        });
        Said {
            granted: limit.rows[me].granted,
            free: tally.free,
            used: limit.rows.values().map(Row::total).sum(),
            next: enough.or(frees.iter().take(LOOKED_AT).next_back()).map_or(0, |(after, _)| *after),
            last: frees.last().map_or(0, |(after, _)| *after),
            others: tally.others,
            let_go: if limit.places { self.let_go(limit, me, line, tally) } else { 0 },
        }
    }

    fn let_go(&self, limit: &Limit, me: &MemberId, line: &Line, tally: &Tally) -> u64 {
        let is_here = |(id, standing): &&(MemberId, Standing)| {
            !standing.dead && (limit.rows[id].hand() > 0 || limit.rows[id].want > 0)
        };
        let share = line.limit / (self.members.iter().filter(is_here).count() as u64).max(1);
        let lacking = tally.waits.iter().map(|id| &limit.rows[id]).filter(|row| row.hand() < share);
        let lack: u64 = lacking.map(|row| row.want.min(share - row.hand())).sum();
        limit.rows[me].hand().saturating_sub(share).min(lack.saturating_sub(tally.free))
    }

    fn row(&mut self, line: &Line, id: &MemberId) -> &mut Row {
        self.limits.get_mut(&line.name).and_then(|limit| limit.rows.get_mut(id)).expect("it was entered")
    }
}
