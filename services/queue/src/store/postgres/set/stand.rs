//! Where what waits stands: in `ready`, in `delayed`, or behind others of its session.

use uuid::Uuid;

use super::super::super::{Candidate, Line};
use super::super::rows::LiveRow;
use super::Set;
use crate::domain::record::Phase;
use crate::domain::time::Micros;

impl Set {
    /// Whether nothing of its session comes before it.
    pub(super) fn is_first(&self, row: &LiveRow) -> bool {
        row.at
            .place
            .is_none_or(|place| self.sessions.get(&place.session).is_some_and(|known| known.head == place.order))
    }

    /// Puts what is queued where it belongs, as of `now`; the candidate, when it is ready by this.
    pub(super) fn stand(&mut self, id: Uuid, now: Micros) -> Option<Candidate> {
        let row = self.row(id)?;
        let Phase::Queued { next_at } = row.live.phase else { return None };
        if row.ready.is_some() || !self.is_first(row) {
            return None;
        }
        let later = next_at.filter(|at| *at > now);
        let key = later.is_none().then(|| self.counters.next_key());
        let entry = self.entries.get_mut(&id)?;
        entry.is_changed = true;
        let row = entry.row.as_mut()?;
        (row.ready, row.delayed) = (key, later);
        candidate(row)
    }

    /// Takes what was queued from where it stood.
    pub(super) fn take_away(row: &mut LiveRow) {
        (row.ready, row.delayed) = (None, None);
    }
}

/// Since when it is ready: a time before its acceptance would put it before whatever was accepted since.
pub(in super::super) fn ready_at(row: &LiveRow) -> Micros {
    match row.live.phase {
        Phase::Queued { next_at: Some(at) } => at.max(row.facts.accepted_at),
        _ => row.facts.accepted_at,
    }
}

/// As it stands in `ready`.
pub(in super::super) fn candidate(row: &LiveRow) -> Option<Candidate> {
    let Phase::Queued { .. } = row.live.phase else { return None };
    let facts = &row.facts;
    Some(Candidate {
        key: row.ready?,
        id: row.at.id,
        line: Line { agent: facts.agent.to_string(), tenant: facts.tenant.to_string(), priority: facts.priority },
        ready_at: ready_at(row),
        accepted_at: facts.accepted_at,
        bytes: facts.bytes,
    })
}
