//! What memory has of the ready work where processes share the store: candidates, as the window shows them. They stand in
//! the schedule like everything else that is ready, so that tenants take their turns by the same rules.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use holdfast_storage::Failure;
use uuid::Uuid;

use super::core::Core;
use super::window::{Changes, Joins, Read};
use crate::domain::invocation::{Accepted, Payload};
use crate::domain::schedule::{Entry, turn};
use crate::domain::time::{Micros, Moment, Now};
use crate::store::{Candidate, ReadyKey};

/// Promises made at once where windows must be refilled between: no more than one of them holds.
pub(super) const SHARED_PAIRS_MAX: usize = 256;
/// How long an agent type's work waits for lines to be read of which nothing is held: without them their tenants would lose
/// their turns, and high priorities theirs. A store that takes longer holds nobody up.
const DRY_MAX: Duration = Duration::from_millis(200);

/// Something that this process has just made ready.
#[derive(Debug)]
pub(crate) struct Fresh {
    pub(crate) candidate: Candidate,
    /// What was asked, where it is at hand.
    pub(crate) input: Option<(Arc<Accepted>, Payload)>,
}

impl Core {
    /// Takes in what a batch made ready, in the order of its ranks. Whether some of it has nobody here who takes it is
    /// known after the next round: these are their agent types.
    pub(super) fn take_in_fresh(&mut self, now: Now) -> Vec<Arc<str>> {
        if self.fresh.is_empty() {
            return Vec::new();
        }
        let mut fresh = std::mem::take(&mut self.fresh);
        fresh.sort_by_key(|fresh| fresh.candidate.key);
        let mut agents: Vec<Arc<str>> = Vec::new();
        for Fresh { candidate, input } in fresh {
            if agents.last().is_none_or(|last| **last != *candidate.line.agent) {
                agents.push(candidate.line.agent.as_str().into());
            }
            if self.came(candidate, now)
                && let Some((accepted, payload)) = input
            {
                self.hot.put(&accepted, payload);
            }
        }
        agents
    }

    /// Something is ready. Whether it joined what is in sight.
    pub(super) fn came(&mut self, candidate: Candidate, now: Now) -> bool {
        let joins = self.window.as_mut().and_then(|window| window.came(candidate));
        let joined = joins.is_some();
        if let Some(joins) = joins {
            self.join(joins, now);
        }
        joined
    }

    /// A line was read.
    pub(super) fn line_read(&mut self, read: &Read, found: Vec<Candidate>, now: Now) {
        let Some(window) = &mut self.window else { return };
        let Changes { come, gone } = window.read(read, found);
        for id in gone {
            self.drop_candidate(id);
        }
        for joins in come {
            self.join(joins, now);
        }
    }

    fn join(&mut self, joins: Joins, now: Now) {
        let Joins { candidate, agent, tenant, delay, order } = joins;
        let turn = turn(candidate.ready_at, candidate.line.priority, self.ageing).saturating_add(delay);
        let entry = Entry {
            id: candidate.id,
            seq: order,
            agent,
            tenant,
            turn,
            place: None,
            ready_at: None,
            deadline: None,
            accepted_at: now.moment_before(candidate.accepted_at),
            bytes: candidate.bytes,
        };
        self.schedule.accept(entry, now.moment);
    }

    /// It is not there any more, or not to be taken.
    pub(super) fn drop_candidate(&mut self, id: Uuid) {
        self.schedule.forget(id);
        self.hot.take(id);
    }

    /// One is to be claimed. Where it stands in the store.
    pub(super) fn claims(&mut self, id: Uuid) -> Option<ReadyKey> {
        self.window.as_mut().and_then(|window| window.claim(id))
    }

    /// A claim was answered: it runs here, or is taken.
    pub(super) fn claim_answered(&mut self, id: Uuid, granted: bool) {
        if let Some(window) = &mut self.window {
            window.answered(id, granted);
            self.drop_candidate(id);
        }
    }

    /// The store failed: what was to be claimed may be there still.
    pub(super) fn claim_failed(&mut self, id: Uuid, now: Moment) {
        if let Some(window) = &mut self.window {
            window.unanswered(id);
            self.schedule.requeued(id, None, now);
        }
    }

    /// It has ended.
    pub(super) fn out_of_sight(&mut self, id: Uuid) {
        if let Some(window) = &mut self.window {
            window.forget(id);
            self.drop_candidate(id);
        }
    }

    /// Nobody here wants work of other types: what is held of them is let go.
    pub(super) fn want_only_what_is_asked(&mut self) {
        let agents = self.demand.agents();
        if let Some(window) = &mut self.window {
            for id in window.want_only(&agents) {
                self.drop_candidate(id);
            }
        }
    }

    /// A command failed: where it may have taken effect all the same, memory looks again at what the store has.
    pub(super) fn doubts(&mut self, failure: &Failure) {
        if let Some(window) = &mut self.window
            && failure.may_have_happened()
        {
            window.doubt();
            self.in_doubt = true;
        }
    }

    /// Agent types whose work must wait just now: lines of theirs are being read of which nothing is held.
    pub(super) fn dry_agents(&mut self, now: Moment) -> HashSet<Arc<str>> {
        let Some(window) = &self.window else { return HashSet::new() };
        let dry: HashMap<Arc<str>, Moment> =
            window.dry().map(|agent| (Arc::clone(agent), self.dry.get(agent).copied().unwrap_or(now))).collect();
        let waits = dry.iter().filter(|(_, since)| now.since(**since) < DRY_MAX).map(|(agent, _)| Arc::clone(agent));
        let waits = waits.collect();
        self.dry = dry;
        waits
    }

    /// Something comes up by itself at a time.
    pub(super) fn comes_up(&mut self, at: Option<Micros>, now: Now) {
        if let Some(at) = at.map(|at| now.moment_of(at))
            && self.soonest.is_none_or(|soonest| at < soonest)
        {
            self.soonest = Some(at);
        }
    }

    /// Whether an agent type has ready work, here or in the store.
    pub(super) fn has_ready(&self, agent: &str) -> bool {
        self.schedule.has_ready(agent) || self.window.as_ref().is_some_and(|window| window.has_more(agent))
    }
}

/// Between two announcements: what comes meanwhile is found by those who heard the first.
pub(super) const ANNOUNCE_EVERY: Duration = Duration::from_millis(5);
