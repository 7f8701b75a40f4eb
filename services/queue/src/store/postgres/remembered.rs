//! Rows of `live` as this process left them: what a lease's end is decided by without being read again.
//!
//! Who completes work has a lease that this process gave, most often a moment ago; others change its row only to cancel it,
//! to expire it or to take it over. So a batch that does nothing else with stored rows than to complete what is known here
//! reads none of them and locks none before its one statement. That removes a row only where one of this process's own
//! transactions has written it last (`xmin`): then it stands as it is known here. Where another has, nothing of the batch
//! is stored, everything is forgotten, and the batch is tried again by what is read.
//!
//! Invariants:
//! - Of each row, the last that this process wrote is known, or nothing: it is taken in after the commit of what it says,
//!   and forgotten with what was rolled back and with the connection (a server that took over gives numbers again).
//! - All of a batch's rows are known, or all are read: so whoever locks several does it in the order of their ids.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use uuid::Uuid;

use super::rows::LiveRow;
use super::set::{Entry, Set};

/// Rows that are known at most. Where there are more, all are forgotten: to read them is slower, and nothing else.
const MAX: usize = 16_384;
/// Transactions after which all are forgotten: rows name only the lower half of a number.
const AGE_MAX: u64 = 1 << 31;

#[derive(Debug, Default)]
pub(super) struct Remembered {
    rows: HashMap<Uuid, (LiveRow, u64), RandomState>,
    /// No older transaction is known.
    since: u64,
}

/// What a transaction leaves of it.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// Its number, where it is known and has stored something.
    pub(super) transaction: Option<u64>,
    leased: Vec<LiveRow>,
    /// What has ended, or is not leased any more.
    gone: Vec<Uuid>,
}

impl Left {
    /// Of a batch that one transaction stores.
    pub(super) fn by(set: Set) -> Self {
        let mut left = Self::default();
        for (id, entry) in set.entries.into_iter().filter(|(_, entry)| entry.is_changed) {
            // A member of a session is read after its session's lock was taken.
            let leased = entry.row.filter(|row| row.live.lease().is_some() && row.at.place.is_none());
            match leased {
                Some(row) => left.leased.push(row),
                None => left.gone.push(id),
            }
        }
        left
    }
}

impl Remembered {
    /// The rows of these invocations, if all are known, each with the lease that is named.
    pub(super) fn all(&self, leases: &HashMap<Uuid, Uuid>) -> Option<HashMap<Uuid, Entry>> {
        let known = |(id, lease): (&Uuid, &Uuid)| {
            let (row, by) = self.rows.get(id).filter(|(row, _)| row.live.lease().is_some_and(|it| it.id == *lease))?;
            Some((*id, Entry::remembered(row.clone(), *by)))
        };
        leases.iter().map(known).collect()
    }

    /// What was left is committed.
    pub(super) fn take_in(&mut self, left: Left) {
        left.gone.iter().for_each(|id| drop(self.rows.remove(id)));
        if left.leased.is_empty() {
            return;
        }
        let Some(transaction) = left.transaction else { return self.forget() };
        let is_full = self.rows.len() + left.leased.len() > MAX;
        if is_full || self.rows.is_empty() || transaction.saturating_sub(self.since) > AGE_MAX {
            self.rows.clear();
            self.since = transaction;
        }
        self.rows.extend(left.leased.into_iter().take(MAX).map(|row| (row.at.id, (row, transaction))));
    }

    pub(super) fn forget(&mut self) {
        self.rows.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::apply::At;
    use super::super::rows::Facts;
    use super::*;
    use crate::domain::invocation::Lease;
    use crate::domain::record::{Live, Phase};

    /// A row as it is left with this lease.
    fn leased(id: Uuid, lease: Uuid) -> LiveRow {
        let lease = Lease { id: lease, fence: 1, worker: "w".into(), stream: None, at: 1, event: 2 };
        let live = Live {
            phase: Phase::Leased(lease),
            attempt: 1,
            lost: 0,
            tries: 0,
            redrives: 0,
            events: 2,
            fence: 1,
            loose_fence: None,
            started_at: Some(1),
        };
        let facts = Facts {
            tenant: "t".into(),
            agent: "a".into(),
            session: None,
            priority: 0,
            accepted_at: 1,
            bytes: 1,
            awaited_by: None,
        };
        let at = At { id, seq: 1, place: None, deadline: None, keeper: Some(1) };
        LiveRow { at, facts, live, ready: None, delayed: None }
    }

    /// So many new rows, left by this transaction; the lease of each.
    fn left(transaction: u64, count: usize) -> (Left, HashMap<Uuid, Uuid>) {
        let leases: HashMap<Uuid, Uuid> = (0..count).map(|_| (Uuid::now_v7(), Uuid::now_v7())).collect();
        let leased = leases.iter().map(|(id, lease)| leased(*id, *lease)).collect();
        (Left { transaction: Some(transaction), leased, gone: Vec::new() }, leases)
    }

    #[test]
    fn no_more_is_remembered_than_fits() {
        let mut remembered = Remembered::default();
        let (first, leases) = left(1, MAX);
        remembered.take_in(first);
        assert!(remembered.all(&leases).is_some());
        let (next, newer) = left(2, 1);
        remembered.take_in(next);
        assert_eq!(remembered.rows.len(), 1);
        assert!(remembered.all(&newer).is_some());
    }

    #[test]
    fn nothing_is_remembered_whose_transaction_could_be_taken_for_a_newer_one() {
        let mut remembered = Remembered::default();
        let (first, leases) = left(1, 1);
        remembered.take_in(first);
        let (next, newer) = left(1 + AGE_MAX, 1);
        remembered.take_in(next);
        assert!(remembered.all(&leases).is_some() && remembered.all(&newer).is_some());
        remembered.take_in(left(2 + AGE_MAX, 1).0);
        assert!(remembered.all(&leases).is_none() && remembered.all(&newer).is_none());
    }
}
