//! What a place holds of one shard for one epoch, and the steps on it.
//!
//! Invariants:
//! - `stored` ≤ `decided`; the log's entries are those behind `stored`, contiguous, in their order;
//! - a record with an edition in the log is there: it is never evicted;
//! - a ticket's record is missing.

mod fences;
mod records;
mod wanted;

use std::{collections::VecDeque, sync::Arc};

use tokio::time::Instant;

use super::super::{Logged, Move, Moves, Seen, Standing, Survivors, Taken, Ticket, Trouble};
use crate::{
    domain::{Address, Edition, Fence, Seq},
    store::{Bound, FenceScope},
};

use fences::Fences;
use records::Records;
use wanted::{Wanted, Wants};

/// One shard's part for one epoch.
#[derive(Debug, Clone)]
pub(super) struct Part {
    open: bool,
    /// Whether somebody has asked for what is left of the log.
    asked: bool,
    /// What had been decided when it was, where it was open.
    reached: Option<Seq>,
    /// By which bound the store's row is marked dirty, and as of when that is known.
    armed: (Option<Bound>, Option<Seq>),
    standing: Standing,
    records: Records,
    log: VecDeque<Entry>,
    fences: Fences,
    wants: Wants,
}

#[derive(Debug, Clone)]
struct Entry {
    logged: Logged,
    last: Seq,
    bytes: u64,
    at: Instant,
}

impl Part {
    pub(super) fn new(stored: Seq) -> Self {
        Self {
            open: true,
            asked: false,
            reached: None,
            armed: (None, None),
            standing: Standing { decided: stored, stored, dirty: (0, 0) },
            records: Records::default(),
            log: VecDeque::new(),
            fences: Fences::default(),
            wants: Wants::default(),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    pub(super) fn close(&mut self) {
        self.open = false;
    }

    /// Whether its log is to be kept though its epoch is over.
    pub(super) fn is_set_aside(&self) -> bool {
        !self.asked && !self.log.is_empty()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.records.bytes()
    }

    pub(super) fn standing(&self) -> Standing {
        self.standing
    }

    pub(super) fn survivors(&mut self, after: Seq, bytes: usize) -> Survivors {
        if self.open {
            self.reached = Some(self.standing.decided);
        }
        self.close();
        self.asked = true;
        Survivors { reached: self.reached, entries: self.log(after, bytes) }
    }

    pub(super) fn log(&self, after: Seq, bytes: usize) -> Vec<Logged> {
        let mut room = bytes as u64;
        let mut page: Vec<Logged> = Vec::new();
        for entry in self.log.iter().filter(|entry| entry.last > after) {
            if entry.bytes > room && !page.is_empty() {
                break;
            }
            room = room.saturating_sub(entry.bytes);
            page.push(entry.logged.clone());
        }
        page
    }

    pub(super) fn look(&mut self, address: &Address) -> Seen {
        self.records.look(address)
    }

    pub(super) fn take(&mut self, moves: &Moves, share_bytes: u64) -> Taken {
        if let Some(refused) = self.refuse(moves) {
            return refused;
        }
        let bytes = moves_bytes(moves);
        if moves.cached {
            self.standing.dirty.0 += moves.moves.len() as u64;
            self.standing.dirty.1 += bytes;
        }
        let mut editions = Vec::with_capacity(moves.moves.len());
        for one in &moves.moves {
            self.standing.decided += 1;
            let edition =
                Arc::new(Edition { seq: self.standing.decided, previous: one.expected, ..one.edition.clone() });
            self.records.decide(&one.address, &edition, moves.cached);
            editions.push((one.address.clone(), edition));
        }
        let places = editions.iter().map(|(_, edition)| edition.seq).collect();
        let logged = Logged { editions, cached: moves.cached };
        self.log.push_back(Entry { logged, last: self.standing.decided, bytes, at: Instant::now() });
        self.records.evict(share_bytes, &[]);
        Taken::Taken(places)
    }

    fn refuse(&self, moves: &Moves) -> Option<Taken> {
        if let Some((scope, fence)) = &moves.fence {
            match self.fences.get(scope) {
                Some(held) if held == fence => {}
                Some(held) if held.number >= fence.number => return Some(Taken::Fenced),
                _ => return Some(Taken::FenceUnknown),
            }
        }
        if let Some((lock, revision)) = &moves.guard {
            let held = self.records.newest(lock).flatten();
            if !held.is_some_and(|held| held.is_live() && held.revision == *revision) {
                return Some(Taken::Changed);
            }
        }
        let stands = |one: &Move| {
            let newest = self.records.newest(&one.address);
            newest.map(|edition| edition.map_or(0, |edition| edition.seq)) == Some(one.expected)
        };
        if !moves.moves.iter().all(stands) {
            return Some(Taken::Changed);
        }
        let (unstored, bytes): (u64, _) = (self.log.iter().map(|entry| entry.bytes).sum(), moves_bytes(moves));
        if unstored > 0 && unstored + bytes > moves.unstored_bytes {
            return Some(Taken::Crowded);
        }
        (moves.cached && !self.admits_cached(moves)).then_some(Taken::Full)
    }

    fn admits_cached(&self, moves: &Moves) -> bool {
        let Some(armed) = self.armed.0 else { return false };
        let oldest = self.log.iter().find(|entry| entry.logged.cached);
        self.standing.dirty.0 + moves.moves.len() as u64 <= moves.window_writes.min(armed.writes)
            && self.standing.dirty.1 + moves_bytes(moves) <= moves.window_bytes.min(armed.bytes)
            && oldest.is_none_or(|oldest| oldest.at.elapsed() < moves.window_age)
            && moves.moves.iter().all(|one| !self.records.has_tip(&one.address))
    }

    pub(super) fn ticket(&mut self, address: &Address) -> Ticket {
        if self.records.newest(address).is_some() {
            return wanted::void();
        }
        self.wants.ticket(Wanted::Record(address.clone()))
    }

    pub(super) fn install(&mut self, found: &[(Address, Ticket, Option<Arc<Edition>>)], share_bytes: u64) {
        for (address, ticket, edition) in found {
            if self.wants.redeem(&Wanted::Record(address.clone()), ticket) {
                self.records.install(address, edition.clone());
            }
        }
        let together: Vec<_> = found.iter().map(|(address, ..)| address).collect();
        self.records.evict(share_bytes, &together);
    }

    pub(super) fn mark(&mut self, stored: Seq, share_bytes: u64) -> Result<(), Trouble> {
        if stored > self.standing.decided {
            self.close();
            return Err(Trouble::Closed);
        }
        while let Some(entry) = self.log.pop_front_if(|entry| entry.last <= stored) {
            self.standing.stored = entry.last;
            if entry.logged.cached {
                self.standing.dirty.0 -= entry.logged.editions.len() as u64;
                self.standing.dirty.1 -= entry.bytes;
            }
            for (address, edition) in &entry.logged.editions {
                self.records.stored(address, edition, entry.logged.cached);
            }
        }
        self.records.evict(share_bytes, &[]);
        Ok(())
    }

    pub(super) fn arm(&mut self, at: Seq, armed: Option<Bound>) -> bool {
        let old = self.armed.1.is_some_and(|known| at < known || (at == known && armed.is_some()));
        let unsafe_to_disarm = armed.is_none() && self.standing.dirty.0 > 0;
        if !old && !unsafe_to_disarm {
            self.armed = (armed, Some(at));
        }
        self.armed.0.is_some() == armed.is_some()
    }

    pub(super) fn fence_ticket(&mut self, scope: &FenceScope) -> Ticket {
        self.wants.ticket(Wanted::Fence(scope.clone()))
    }

    pub(super) fn install_fence(&mut self, scope: &FenceScope, ticket: &Ticket, fence: &Fence) {
        if self.wants.redeem(&Wanted::Fence(scope.clone()), ticket) {
            self.fences.raise(scope, fence);
        }
    }

    pub(super) fn raise_fence(&mut self, scope: &FenceScope, fence: &Fence) {
        self.wants.void(&Wanted::Fence(scope.clone()));
        self.fences.raise(scope, fence);
    }
}

fn moves_bytes(moves: &Moves) -> u64 {
    moves.moves.iter().map(Move::bytes).sum()
}
