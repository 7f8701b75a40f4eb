//! What happened, and whether it may.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::domain::invocation::Status;
use crate::domain::time::Moment;

/// One thing that became durable.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Happened {
    Accepted {
        id: Uuid,
        session: Option<i64>,
        deadline: Option<Moment>,
    },
    Leased {
        id: Uuid,
        lease: Uuid,
        fence: u64,
        at: Moment,
    },
    /// The lease is over, and the invocation waits again.
    Requeued {
        id: Uuid,
        lost: bool,
    },
    Ended {
        id: Uuid,
        status: Status,
        raise: Option<u64>,
    },
    /// Somebody whose lease was over tried to end it, and was refused.
    Refused,
    Restarted,
    /// After a restart only the wall clock says when a deadline is.
    DeadlineIs {
        id: Uuid,
        at: Moment,
    },
}

/// All of it, in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct History {
    pub(super) events: Vec<Happened>,
}

#[derive(Default)]
struct Seen {
    session: Option<i64>,
    deadline: Option<Moment>,
    lease: Option<u64>,
    /// The highest fence that was not given up.
    loose: Option<u64>,
    ended: bool,
}

#[derive(Default)]
struct Checker {
    invocations: HashMap<Uuid, Seen>,
    /// By session: members that have not ended, in order.
    sessions: HashMap<i64, Vec<Uuid>>,
    fences: HashMap<Result<i64, Uuid>, u64>,
    leases: HashSet<Uuid>,
}

impl History {
    pub(super) fn leases(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Happened::Leased { .. })).count()
    }

    pub(super) fn lost(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Happened::Requeued { lost: true, .. })).count()
    }

    pub(super) fn restarts(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Happened::Restarted)).count()
    }

    /// The first promise that is broken.
    pub(super) fn check(&self) -> Result<(), String> {
        let mut checker = Checker::default();
        for (place, event) in self.events.iter().enumerate() {
            checker.take(event).map_err(|broken| format!("{broken} (event {place}: {event:?})"))?;
        }
        match checker.invocations.iter().find(|(_, seen)| !seen.ended) {
            Some((id, _)) => Err(format!("{id} never ended")),
            None => Ok(()),
        }
    }
}

impl Checker {
    fn take(&mut self, event: &Happened) -> Result<(), String> {
        match event {
            Happened::Accepted { id, session, deadline } => {
                let seen = Seen { session: *session, deadline: *deadline, ..Seen::default() };
                self.invocations.insert(*id, seen);
                if let Some(session) = session {
                    self.sessions.entry(*session).or_default().push(*id);
                }
                Ok(())
            }
            Happened::Leased { id, lease, fence, at } => self.leased(*id, *lease, *fence, *at),
            Happened::Requeued { id, lost } => {
                let seen = self.open(*id)?;
                let fence = seen.lease.take().ok_or("a lease that was not there is over")?;
                if *lost {
                    seen.loose = Some(fence);
                }
                Ok(())
            }
            Happened::Ended { id, status, raise } => self.ended(*id, *status, *raise),
            Happened::DeadlineIs { id, at } => {
                self.open(*id)?.deadline = Some(*at);
                Ok(())
            }
            Happened::Refused | Happened::Restarted => Ok(()),
        }
    }

    fn leased(&mut self, id: Uuid, lease: Uuid, fence: u64, at: Moment) -> Result<(), String> {
        if !self.leases.insert(lease) {
            return Err("one lease was granted twice".into());
        }
        let seen = self.open(id)?;
        if seen.lease.replace(fence).is_some() {
            return Err("two leases are live at once".into());
        }
        if seen.deadline.is_some_and(|deadline| deadline <= at) {
            return Err("expired work started".into());
        }
        let session = seen.session;
        let last = self.fences.insert(session.ok_or(id), fence);
        if last.is_some_and(|last| last >= fence) {
            return Err("a fence did not rise".into());
        }
        let first = session.and_then(|session| self.sessions[&session].first().copied());
        if first.is_some_and(|first| first != id) {
            return Err("a session's order was broken".into());
        }
        Ok(())
    }

    fn ended(&mut self, id: Uuid, status: Status, raise: Option<u64>) -> Result<(), String> {
        let seen = self.open(id)?;
        seen.ended = true;
        let held = seen.lease.take();
        let outside = matches!(status, Status::Cancelled) || (status == Status::Failed && raise == held);
        let must = if outside { held.or(seen.loose) } else { seen.loose };
        if must.is_some() && raise < must {
            return Err("a holder that did not give up was not fenced".into());
        }
        if let Some(session) = seen.session
            && let Some(members) = self.sessions.get_mut(&session)
        {
            members.retain(|member| *member != id);
        }
        Ok(())
    }

    fn open(&mut self, id: Uuid) -> Result<&mut Seen, String> {
        match self.invocations.get_mut(&id) {
            Some(seen) if !seen.ended => Ok(seen),
            Some(_) => Err(format!("{id} has ended already")),
            None => Err(format!("{id} was never accepted")),
        }
    }
}
