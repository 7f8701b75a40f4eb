//! What ends leave in a working set.

use uuid::Uuid;

use super::super::super::{Candidate, Note};
use super::super::rows::LiveRow;
use super::{NewRaise, Set};
use crate::domain::record::{Ended, Live, Outcome, Try};
use crate::domain::transition::{CANCELLED, DEADLINE_PASSED, LEASE_LOST};

impl Set {
    pub(super) fn requeued(&mut self, id: Uuid, live: &Live, tried: &Try) -> Option<Candidate> {
        let entry = self.entries.get_mut(&id)?;
        let row = entry.row.as_mut()?;
        let (place, keeper) = (row.at.place, row.at.keeper.take());
        row.live = live.clone();
        entry.is_changed = true;
        if let Some(session) = place.and_then(|place| self.sessions.get_mut(&place.session)) {
            session.holder = None;
        }
        let over = Note::LeaseOver { id, lease: tried.lease.id, reason: None };
        self.note(keeper, over);
        self.keep_try(id, tried);
        self.stand(id, tried.ended_at)
    }

    pub(super) fn over(&mut self, id: Uuid, ended: &Ended, tried: Option<&Try>, raise: Option<u64>) -> Vec<Candidate> {
        let Some(entry) = self.entries.get_mut(&id) else { return Vec::new() };
        let Some(row) = entry.row.take() else { return Vec::new() };
        entry.is_changed = true;
        if let Some(lease) = &ended.lease {
            self.note(row.at.keeper, Note::LeaseOver { id, lease: lease.id, reason: reason(&ended.outcome) });
        }
        self.note(row.facts.awaited_by, Note::Ended(id));
        if let Some(tried) = tried {
            self.keep_try(id, tried);
        }
        if let Some(fence) = raise {
            self.raise(&row, fence);
        }
        self.news.ended.push(id);
        let (accepted_at, tenant) = (row.facts.accepted_at, row.facts.tenant.clone());
        self.over.insert(id, super::Over { tenant, accepted_at, ended: ended.clone(), accepted: None });
        self.left(&row, ended).into_iter().collect()
    }

    /// The next one of its session has its turn.
    fn left(&mut self, row: &LiveRow, ended: &Ended) -> Option<Candidate> {
        let place = row.at.place?;
        let session = self.sessions.get_mut(&place.session)?;
        if session.holder == Some(row.at.id) {
            session.holder = None;
        }
        let next = session.leave(place.order)?;
        self.stand(next, ended.at)
    }

    fn keep_try(&mut self, id: Uuid, tried: &Try) {
        self.tries.entry(id).or_default().push(tried.clone());
        self.news.tries.push((id, tried.clone()));
    }

    fn raise(&mut self, row: &LiveRow, fence: u64) {
        let session = row.facts.session.clone();
        let invocation = session.is_none().then_some(row.at.id);
        self.news.raises.push(NewRaise { tenant: row.facts.tenant.clone(), session, invocation, fence });
    }

    /// Leaves a note for another process; this one learns by its answers.
    pub(super) fn note(&mut self, process: Option<i64>, note: Note) {
        if let Some(process) = process.filter(|process| *process != self.me()) {
            self.news.notes.push((process, note));
        }
    }
}

/// Why the holder must be told to stop; its own end it knows.
fn reason(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Cancelled(_) => Some(CANCELLED.into()),
        Outcome::Failed(failure) if failure.reason == DEADLINE_PASSED => Some(DEADLINE_PASSED.into()),
        Outcome::Dead(failure) if failure.reason == LEASE_LOST => Some(LEASE_LOST.into()),
        Outcome::Succeeded(_) | Outcome::Failed(_) | Outcome::Dead(_) => None,
    }
}
