//! Whether what happened may happen: one check for each promise.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::history::{Happened, History, Why};
use super::shares::Shares;
use super::{ATTEMPTS_MAX, GRACE, LEASE, ROOM, TENANTS};
use crate::domain::invocation::Status;
use crate::domain::time::Moment;

/// What is known of an invocation.
#[derive(Default)]
struct Seen {
    tenant: usize,
    session: Option<i64>,
    /// The lease in force, and its fence.
    lease: Option<(Uuid, u64)>,
    /// The highest fence that was not given up.
    loose: Option<u64>,
    failures: u32,
    ended: Option<Status>,
}

/// What is known of a lease.
struct Term {
    stream: Option<Uuid>,
    since: Moment,
}

#[derive(Default)]
struct Checker {
    strict: bool,
    invocations: HashMap<Uuid, Seen>,
    keys: HashSet<u64>,
    /// By session: members that have not ended, in order.
    sessions: HashMap<i64, Vec<Uuid>>,
    fences: HashMap<Result<i64, Uuid>, u64>,
    terms: HashMap<Uuid, Term>,
    /// Leases that their holders ended.
    settled: HashSet<Uuid>,
    broke: HashMap<Uuid, Moment>,
    returned: HashSet<Uuid>,
    waiting: [u64; TENANTS.len()],
    shares: Shares,
}

type Checked = Result<(), &'static str>;

impl History {
    /// The first promise that is broken.
    pub(super) fn check(&self) -> Result<(), String> {
        let mut checker = Checker { strict: self.strict, ..Checker::default() };
        for (place, event) in self.events.iter().enumerate() {
            checker.take(event).map_err(|broken| format!("{broken} (event {place}: {event:?})"))?;
        }
        match checker.invocations.iter().find(|(_, seen)| seen.ended.is_none()) {
            Some((id, _)) => Err(format!("acknowledged work is lost: {id} never ended")),
            None => Ok(()),
        }
    }
}

impl Checker {
    fn take(&mut self, event: &Happened) -> Checked {
        match event {
            Happened::Accepted { id, tenant, session, key } => self.accepted(*id, *tenant, *session, *key),
            Happened::Acknowledged { id } => self.known(*id).map(|_| ()),
            Happened::Round => {
                self.shares.begin();
                Ok(())
            }
            Happened::Picked { agent, tenant, ready } => self.shares.picked(*agent, *tenant, ready),
            Happened::Leased { id, lease, stream, fence, at, late, early } => {
                if *late {
                    return Err("expired work started");
                }
                if *early {
                    return Err("work started before its time");
                }
                self.terms.insert(*lease, Term { stream: *stream, since: *at });
                self.leased(*id, *lease, *fence)
            }
            Happened::Renewed { lease, at } => self.renewed(*lease, None, Some(*at)),
            Happened::Adopted { lease, stream } => self.renewed(*lease, Some(*stream), None),
            Happened::Broke { stream, at } => {
                self.broke.entry(*stream).or_insert(*at);
                Ok(())
            }
            Happened::Returned { stream } => {
                self.returned.insert(*stream);
                Ok(())
            }
            Happened::Requeued { id, lease, why, at } => self.requeued(*id, *lease, *why, *at),
            Happened::Ended { .. } => self.ended(event),
            Happened::Told { lease, counts } => match (counts, self.settled.contains(lease)) {
                (true, false) => Err("an end was confirmed that is not there"),
                (false, true) => Err("the repeat of an accepted end did not get its first answer"),
                _ => Ok(()),
            },
            Happened::Cancelled { id } => match self.known(*id)?.ended {
                Some(Status::Cancelled) => Ok(()),
                _ => Err("a cancel was confirmed, and the work goes on"),
            },
            Happened::Redriven { id } => self.redriven(*id),
            Happened::Counted { counts, are } if counts != are => Err("what waits was not counted"),
            Happened::Counted { .. } | Happened::Full | Happened::Injected(_) => Ok(()),
        }
    }

    fn accepted(&mut self, id: Uuid, tenant: usize, session: Option<i64>, key: Option<u64>) -> Checked {
        if key.is_some_and(|key| !self.keys.insert(key)) {
            return Err("one submission was accepted twice");
        }
        self.invocations.insert(id, Seen { tenant, session, ..Seen::default() });
        self.waiting[tenant] += 1;
        if let Some(session) = session {
            self.sessions.entry(session).or_default().push(id);
        }
        let over = self.waiting.iter().sum::<u64>() > ROOM.0 || self.waiting[tenant] > ROOM.1;
        if self.strict && over { Err("more waits than may") } else { Ok(()) }
    }

    fn leased(&mut self, id: Uuid, lease: Uuid, fence: u64) -> Checked {
        let seen = self.open(id)?;
        if seen.lease.replace((lease, fence)).is_some() {
            return Err("two leases are live at once");
        }
        let (session, tenant) = (seen.session, seen.tenant);
        self.waiting[tenant] -= 1;
        let last = self.fences.insert(session.ok_or(id), fence);
        if last.is_some_and(|last| last >= fence) {
            return Err("a fence did not rise");
        }
        let first = session.and_then(|session| self.sessions[&session].first().copied());
        if first.is_some_and(|first| first != id) {
            return Err("a session's order was broken");
        }
        Ok(())
    }

    fn renewed(&mut self, lease: Uuid, stream: Option<Uuid>, at: Option<Moment>) -> Checked {
        let term = self.terms.get_mut(&lease).ok_or("a lease that was not there goes on")?;
        term.stream = stream.or(term.stream);
        term.since = at.unwrap_or(term.since);
        Ok(())
    }

    fn requeued(&mut self, id: Uuid, lease: Uuid, why: Why, at: Moment) -> Checked {
        let seen = self.open(id)?;
        let (held, fence) = seen.lease.take().ok_or("a lease that was not there is over")?;
        if held != lease {
            return Err("a superseded worker ended the work");
        }
        if why == Why::Failed {
            seen.failures += 1;
            if seen.failures >= ATTEMPTS_MAX {
                return Err("there were more attempts than the policy allows");
            }
        }
        if why == Why::Lost {
            seen.loose = Some(fence);
        }
        let tenant = seen.tenant;
        self.waiting[tenant] += 1;
        if why == Why::Lost {
            return self.may_be_lost(lease, at);
        }
        self.settled.insert(lease);
        Ok(())
    }

    /// A lease lasts its time from its last renewal, unless its stream is broken for longer than its grace.
    fn may_be_lost(&self, lease: Uuid, at: Moment) -> Checked {
        let term = self.terms.get(&lease).ok_or("a lease that was not there is over")?;
        let out_of_time = at.since(term.since) >= LEASE;
        let broke = term.stream.and_then(|stream| self.broke.get(&stream));
        let out_of_grace = broke.is_some_and(|broke| at.since(*broke) >= GRACE);
        let unnamed = term.stream.is_some_and(|stream| self.returned.contains(&stream));
        if out_of_time || out_of_grace || unnamed { Ok(()) } else { Err("a lease was freed before its time") }
    }

    fn ended(&mut self, event: &Happened) -> Checked {
        let Happened::Ended { id, lease, status, reason, lost, lost_out, raise, at } = event else { return Ok(()) };
        let seen = self.open(*id)?;
        let held = seen.lease.take();
        if held.map(|(lease, _)| lease) != *lease {
            return Err("a superseded worker ended the work");
        }
        let by_holder = !lost && (*status == Status::Succeeded || reason.as_deref() == Some("BUSY"));
        if by_holder && *status == Status::Dead && seen.failures + 1 < ATTEMPTS_MAX {
            return Err("work was given up before its policy does");
        }
        if *status == Status::Dead && *lost && !lost_out {
            return Err("lost leases used up the caller's attempts");
        }
        let fence = held.map(|(_, fence)| fence);
        let must = if by_holder { seen.loose } else { fence.or(seen.loose) };
        seen.ended = Some(*status);
        let (session, tenant) = (seen.session, seen.tenant);
        if must.is_some() && *raise < must {
            return Err("a holder that did not give up was not fenced");
        }
        if held.is_none() {
            self.waiting[tenant] -= 1;
        }
        if let Some(members) = session.and_then(|session| self.sessions.get_mut(&session)) {
            members.retain(|member| member != id);
        }
        if by_holder {
            self.settled.extend(lease);
        }
        match lease {
            Some(lease) if *lost => self.may_be_lost(*lease, *at),
            _ => Ok(()),
        }
    }

    fn redriven(&mut self, id: Uuid) -> Checked {
        let seen = self.known(id)?;
        match seen.ended.take() {
            None | Some(Status::Succeeded) => return Err("what did not fail was redriven"),
            Some(_) => (seen.failures, seen.loose) = (0, None),
        }
        let (session, tenant) = (seen.session, seen.tenant);
        self.waiting[tenant] += 1;
        if let Some(session) = session {
            self.sessions.entry(session).or_default().push(id);
        }
        Ok(())
    }

    fn known(&mut self, id: Uuid) -> Result<&mut Seen, &'static str> {
        self.invocations.get_mut(&id).ok_or("what was acknowledged is not durable")
    }

    fn open(&mut self, id: Uuid) -> Result<&mut Seen, &'static str> {
        match self.known(id)? {
            seen if seen.ended.is_none() => Ok(seen),
            _ => Err("what has ended has another end"),
        }
    }
}
