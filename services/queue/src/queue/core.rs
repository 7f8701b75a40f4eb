//! The queue's memory: everything that has not ended, who wants work, who waits for what. It follows the store: nothing
//! here changes before the store has committed it, except promises, which the store confirms or does not.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use uuid::Uuid;

use super::calls::Waits;
use super::grant::{LeaseCall, Taker};
use super::hot::Hot;
use super::seen::Seen;
use super::sight::{Fresh, SHARED_PAIRS_MAX};
use super::tag::{ClaimTag, Tag};
use super::window::Window;
use crate::config::Config;
use crate::domain::demand::{Demand, WorkerId};
use crate::domain::depth::Depths;
use crate::domain::invocation::{Accepted, Lease, Payload};
use crate::domain::leases::{Confines, Held, Leases, Origin};
use crate::domain::record::Phase;
use crate::domain::schedule::{Entry, Schedule, turn};
use crate::domain::time::{Micros, Moment, Now};
use crate::domain::transition::Grant as GrantTo;
use crate::store::{Claim, Command, ReadyKey, Waiting};

/// Promises made at once: the store's answers bring the next round.
const PAIRS_MAX: usize = 1_024;

/// Commands on their way to the store.
pub(crate) type Commands = Vec<(Tag, Command)>;

pub(crate) struct Core {
    pub(crate) schedule: Schedule,
    /// What of the ready work is in sight, where processes share the store. Else the schedule holds all of it.
    pub(crate) window: Option<Window>,
    /// What this batch made ready in such a store.
    pub(crate) fresh: Vec<Fresh>,
    /// Agent types of which lines must be read before anything is promised, and since when.
    pub(super) dry: HashMap<Arc<str>, Moment>,
    /// A commit's outcome was not known: leases may have begun, or ended, that memory does not know of.
    pub(crate) in_doubt: bool,
    /// When something comes up by itself in such a store, as far as this process knows.
    pub(crate) soonest: Option<Moment>,
    /// What a point of priority is worth.
    pub(super) ageing: Duration,
    pub(crate) seen: Seen,
    pub(crate) demand: Demand,
    pub(crate) leases: Leases,
    pub(crate) depths: Depths,
    pub(crate) hot: Hot,
    pub(crate) takers: foldhash::HashMap<WorkerId, TakerEntry>,
    pub(crate) waits: Waits,
    pub(crate) watched: foldhash::HashMap<Uuid, watch::Sender<()>>,
    pub(crate) watches: usize,
    pub(crate) draining: bool,
    /// Promised to a worker while they are being accepted.
    pub(crate) promised: foldhash::HashSet<Uuid>,
    /// While the store fails nothing is promised.
    pub(crate) paused_until: Option<Moment>,
}

/// Somebody who takes leases.
#[derive(Debug)]
pub(crate) struct TakerEntry {
    pub(crate) taker: Taker,
    pub(crate) name: Arc<str>,
    pub(crate) tenant: Option<Arc<str>>,
}

impl Core {
    pub(crate) fn new(config: &Config, now: Now) -> Self {
        Self {
            schedule: Schedule::new(config.weights()),
            window: None,
            fresh: Vec::new(),
            dry: HashMap::new(),
            in_doubt: false,
            soonest: None,
            ageing: *config.priority_ageing,
            seen: Seen::new(now.moment),
            demand: Demand::default(),
            leases: Leases::default(),
            depths: Depths::new(config.limits(), config.weights(), now.moment),
            hot: Hot::new(config.hot_bytes_max.bytes()),
            takers: foldhash::HashMap::default(),
            waits: Waits::default(),
            watched: foldhash::HashMap::default(),
            watches: 0,
            draining: false,
            promised: foldhash::HashSet::default(),
            paused_until: None,
        }
    }

    /// Takes in what a start finds. Every lease gets its full time again, and its stream as long to come back.
    pub(crate) fn restore(
        &mut self,
        waiting: Vec<Waiting>,
        lease_ends: Moment,
        sign: impl Fn(&Waiting, &Lease) -> Arc<str>,
        now: Now,
    ) {
        let mut names: HashMap<String, Arc<str>> = HashMap::new();
        let mut name = |text: &str| Arc::clone(names.entry(text.to_owned()).or_insert_with(|| text.into()));
        for found in waiting {
            let mut entry = Entry {
                id: found.id,
                seq: found.seq,
                agent: name(&found.agent),
                tenant: name(&found.tenant),
                turn: turn(ready_at(&found), found.priority, self.ageing),
                place: found.place,
                ready_at: None,
                deadline: found.deadline.map(|deadline| now.moment_of(deadline)),
                accepted_at: now.moment_before(found.accepted_at),
                bytes: found.bytes,
            };
            self.seen.add(&entry.agent);
            match &found.phase {
                Phase::Queued { next_at } => {
                    entry.ready_at = next_at.map(|at| now.moment_of(at));
                    self.depths.waits(&entry.agent, &entry.tenant, entry.bytes, now.moment);
                    self.schedule.accept(entry, now.moment);
                }
                Phase::Leased(lease) => {
                    let held = Held {
                        invocation: found.id,
                        agent: Arc::clone(&entry.agent),
                        tenant: Arc::clone(&entry.tenant),
                        bytes: entry.bytes,
                        worker: Arc::clone(&lease.worker),
                        stream: lease.stream,
                        token: sign(&found, lease),
                        origin: Origin::Unread,
                    };
                    self.depths.runs(&entry.agent, &entry.tenant, now.moment);
                    self.schedule.accept_leased(entry);
                    self.leases.begin(lease.id, held, lease_ends);
                    if let Some(stream) = lease.stream {
                        self.leases.broke(stream, Arc::clone(&lease.worker), Confines::Unknown, lease_ends);
                    }
                }
            }
        }
    }

    /// Promises what is ready to those who have room.
    pub(crate) fn dispatch(&mut self, now: Now, commands: &mut Commands) {
        if self.draining || self.paused_until.is_some_and(|until| until > now.moment) {
            return;
        }
        self.paused_until = None;
        let dry = self.dry_agents(now.moment);
        let takers = &self.takers;
        let takes = |id, promised| takers.get(&id).is_some_and(|entry| entry.taker.takes(promised));
        let pairs = if self.window.is_some() {
            let waits = |agent: &str| dry.contains(agent);
            self.demand.pair_but(&mut self.schedule, SHARED_PAIRS_MAX, takes, waits)
        } else {
            self.demand.pair(&mut self.schedule, PAIRS_MAX, takes)
        };
        for (worker, id) in pairs {
            let input = self.hot.take(id);
            let ready = self.claims(id);
            let bytes = self.schedule.get(id).map_or(0, |entry| entry.bytes);
            commands.extend(self.promise((worker, bytes), (id, ready), input, now));
        }
    }

    /// Promises a new invocation to a worker that waits, together with its acceptance: one commit less until it starts.
    /// Only what nobody waits before goes so, and what has no order to keep.
    pub(crate) fn promise_new(
        &mut self,
        accepted: &Arc<Accepted>,
        payload: &Payload,
        now: Now,
    ) -> Option<(Tag, Command)> {
        let startable = accepted.session.is_none()
            && accepted.not_before.is_none_or(|at| at <= now.wall)
            && accepted.deadline.is_none_or(|at| at > now.wall);
        if !startable || self.paused_until.is_some() || self.has_ready(&accepted.agent) {
            return None;
        }
        let takers = &self.takers;
        let takes = |id, promised| takers.get(&id).is_some_and(|entry| entry.taker.takes(promised));
        let worker = self.demand.reserve((&accepted.agent, &accepted.tenant), accepted.bytes, takes)?;
        self.promised.insert(accepted.id);
        self.promise((worker, accepted.bytes), (accepted.id, None), Some((Arc::clone(accepted), payload.clone())), now)
    }

    fn promise(
        &mut self,
        (worker, bytes): (WorkerId, usize),
        (id, ready): (Uuid, Option<ReadyKey>),
        input: Option<(Arc<Accepted>, Payload)>,
        now: Now,
    ) -> Option<(Tag, Command)> {
        let entry = self.takers.get_mut(&worker)?;
        let stream = match &mut entry.taker {
            Taker::Stream(_) => Some(worker),
            Taker::Call(call) => {
                call.promised += 1;
                // It is answered with this round: it wants no further one.
                if call.promised == 1 {
                    self.demand.leave(worker);
                }
                None
            }
        };
        let grant = GrantTo { lease: Uuid::now_v7(), worker: Arc::clone(&entry.name), stream };
        let lease = grant.lease;
        let claim = Claim { id, grant, now: now.wall, with_input: input.is_none(), ready };
        Some((Tag::Claim(Box::new(ClaimTag { id, lease, worker, bytes, input })), Command::Claim(Box::new(claim))))
    }

    /// A worker comes, or asks for work.
    pub(crate) fn asks(&mut self, id: WorkerId, agents: Vec<Arc<str>>, tenant: Option<Arc<str>>, credits: u32) {
        if let Some(window) = &mut self.window {
            agents.iter().for_each(|agent| window.want(agent));
        }
        self.demand.join(id, agents, tenant, credits);
    }

    /// Tells those who watch an invocation that there is something new.
    pub(crate) fn ring(&mut self, id: Uuid) {
        if let Some(bell) = self.watched.get(&id)
            && bell.send(()).is_err()
        {
            self.watched.remove(&id);
        }
    }

    /// When the reaper has something to do next.
    pub(crate) fn next_due(&self) -> Option<Moment> {
        let mut due = vec![self.schedule.next_due()];
        if !self.draining {
            due.extend([self.leases.next_due(), self.paused_until]);
        }
        due.into_iter().flatten().min()
    }

    /// A call that waits for leases and has been promised none.
    pub(crate) fn idle_call(&mut self, worker: WorkerId) -> Option<&mut LeaseCall> {
        match self.takers.get_mut(&worker) {
            Some(TakerEntry { taker: Taker::Call(call), .. }) if call.promised == 0 => Some(call),
            _ => None,
        }
    }
}

/// When a found one may first run, as far as the store still says.
fn ready_at(found: &Waiting) -> Micros {
    match found.phase {
        Phase::Queued { next_at: Some(at) } => at.max(found.accepted_at),
        Phase::Queued { next_at: None } | Phase::Leased(_) => found.accepted_at,
    }
}
