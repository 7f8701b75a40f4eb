//! What a worker holds, and what it owes the queue. Decides, does nothing: messages and the time go in, messages come
//! out, so that every interleaving can be tested.
//!
//! Invariants: a lease stays here until its handler has ended *and* its report, if there is one, is settled or
//! pointless; running handlers and credits together never exceed the capacity; nor do reports that wait, so memory is
//! bounded while the queue is away; no result is sent that the queue has said it does not take.

mod entry;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use holdfast_proto::queue::v1::{self as pb, work_request::Message as Up, work_response::Welcome};
use holdfast_resilience::Backoff;
use holdfast_rpc::{status, time};
use tokio::time::Instant;
use tonic::Code;

use self::entry::Entry;
use crate::{held::Held, worker::report::Report};

/// Until the queue says how often it wants to hear from us.
const HEARTBEAT_AT_FIRST: Duration = Duration::from_secs(3);

/// Pauses before a report that the queue could not take for now is sent again, where the queue named none.
const REDELIVERY: Backoff = Backoff::doubling(Duration::from_millis(500), Duration::from_secs(10));

/// Heartbeats without an answer after which the stream counts as dead: early enough to renew on another in time.
const UNANSWERED_MAX: usize = 1;

#[derive(Debug)]
pub(crate) struct Desk {
    capacity: u32,
    leases: HashMap<String, Entry>,
    /// How many of them have a report.
    owed: u32,
    /// Credits that the queue has and has not used.
    promised: u32,
    /// When the heartbeats that are not answered yet were sent: a renewal counts from there.
    beats: VecDeque<Instant>,
    interval: Duration,
    next_beat: Instant,
    /// The largest result that the queue takes, where it has said so.
    result_bytes_max: Option<u64>,
    closing: bool,
}

impl Desk {
    pub(crate) fn new(capacity: u32, now: Instant) -> Self {
        Self {
            capacity,
            leases: HashMap::new(),
            owed: 0,
            promised: 0,
            beats: VecDeque::new(),
            interval: HEARTBEAT_AT_FIRST,
            next_beat: now + HEARTBEAT_AT_FIRST,
            result_bytes_max: None,
            closing: false,
        }
    }

    /// The first message of a new stream.
    pub(crate) fn hello(&mut self, worker: &str, agents: &[String]) -> Up {
        self.beats.clear();
        self.promised = 0;
        let credits = self.credits();
        Up::Hello(pb::work_request::Hello {
            worker: worker.to_owned(),
            agents: agents.to_vec(),
            held_tokens: self.leases.values().filter(|entry| !entry.held.is_gone()).map(Entry::token).collect(),
            credits,
        })
    }

    /// The stream is open: learns which leases are lost, and delivers what waited, adopted or not. (The queue may have
    /// taken a completion whose answer was lost; asked again, it gives the same answer.)
    pub(crate) fn welcome(&mut self, welcome: &Welcome, now: Instant) -> Vec<Up> {
        if let Some(interval) = welcome.heartbeat_interval.as_ref().and_then(time::span).filter(|span| !span.is_zero())
        {
            self.interval = interval;
        }
        self.result_bytes_max = Some(welcome.max_result_bytes).filter(|&max| max > 0);
        for (token, entry) in &self.leases {
            if entry.report.is_none() && !welcome.adopted_tokens.contains(token) {
                entry.held.lose("LEASE_LOST");
            }
        }
        let max = self.result_bytes_max;
        let mut out: Vec<_> = self.leases.values_mut().filter_map(|entry| entry.send(max)).collect();
        out.extend(self.heartbeat(now));
        out
    }

    /// New work came down. An error hands it back at once: this worker is closing.
    pub(crate) fn leased(&mut self, lease: pb::Lease, now: Instant, wall: Duration) -> Result<Arc<Held>, Up> {
        self.promised = self.promised.saturating_sub(1);
        let held = Arc::new(Held::new(lease, now, wall));
        let token = held.token.clone();
        self.leases.insert(token.clone(), Entry::new(held.clone()));
        match self.closing.then(|| self.finished(&token, Some(Report::Release))).flatten() {
            Some(release) => Err(release),
            None => Ok(held),
        }
    }

    /// Credits for the room that there is and the queue does not know of.
    pub(crate) fn room(&mut self) -> Option<Up> {
        match self.credits() {
            0 => None,
            credits => Some(Up::Credits(pb::work_request::Credits { credits })),
        }
    }

    fn credits(&mut self) -> u32 {
        if self.closing || self.owed >= self.capacity {
            return 0;
        }
        let running = u32::try_from(self.leases.len()).unwrap_or(u32::MAX) - self.owed;
        let free = self.capacity.saturating_sub(running.saturating_add(self.promised));
        self.promised += free;
        free
    }

    fn remove(&mut self, token: &str) {
        if self.leases.remove(token).is_some_and(|entry| entry.report.is_some()) {
            self.owed -= 1;
        }
    }

    /// When something is due: a heartbeat, or a report to send again.
    pub(crate) fn due(&self) -> Instant {
        self.leases.values().filter_map(|entry| entry.again).fold(self.next_beat, Instant::min)
    }

    /// Sends what is due. `None` where the queue does not answer any more: the stream is dead.
    pub(crate) fn tick(&mut self, now: Instant) -> Option<Vec<Up>> {
        let max = self.result_bytes_max;
        let due = |entry: &&mut Entry| entry.again.is_some_and(|at| at <= now);
        let mut out: Vec<_> = self.leases.values_mut().filter(due).filter_map(|entry| entry.send(max)).collect();
        if self.next_beat <= now {
            if self.beats.len() >= UNANSWERED_MAX {
                return None;
            }
            out.extend(self.heartbeat(now));
        }
        Some(out)
    }

    fn heartbeat(&mut self, now: Instant) -> Option<Up> {
        self.next_beat = now + self.interval;
        let tokens: Vec<_> = self.leases.values().filter(|entry| !entry.held.is_gone()).map(Entry::token).collect();
        if tokens.is_empty() {
            return None;
        }
        self.beats.push_back(now);
        Some(Up::Heartbeat(pb::HeartbeatRequest { tokens }))
    }

    /// The answer to the oldest heartbeat. A renewed lease ends its time to live after the heartbeat was *sent*.
    pub(crate) fn renewed(&mut self, answer: &pb::HeartbeatResponse) {
        let Some(sent) = self.beats.pop_front() else { return };
        for renewal in &answer.renewals {
            match (self.leases.get(&renewal.token), renewal.ttl.as_ref().and_then(time::span)) {
                (Some(entry), Some(ttl)) => entry.held.renew(sent + ttl),
                (Some(_), None) => self.revoked(&renewal.token, &renewal.lost_reason),
                (None, _) => {}
            }
        }
    }

    /// A lease is not ours any more. A handler that runs is told; a report that waits has become pointless.
    pub(crate) fn revoked(&mut self, token: &str, reason: &str) {
        let Some(entry) = self.leases.get(token) else { return };
        entry.held.lose(if reason.is_empty() { "LEASE_LOST" } else { reason });
        if entry.report.is_some() {
            self.remove(token);
        }
    }

    /// A handler ended; without a report where there is nothing to say, because its lease is gone.
    pub(crate) fn finished(&mut self, token: &str, report: Option<Report>) -> Option<Up> {
        let entry = self.leases.get_mut(token)?;
        match report {
            Some(report) if !entry.held.is_gone() => {
                self.owed += u32::from(entry.report.replace(report).is_none());
                entry.send(self.result_bytes_max)
            }
            _ => {
                self.remove(token);
                None
            }
        }
    }

    /// The queue answered a report.
    pub(crate) fn settled(&mut self, token: &str, answer: &[u8], now: Instant) -> Option<Up> {
        let entry = self.leases.get_mut(token)?;
        let report = entry.report.as_mut()?;
        if answer.is_empty() {
            self.remove(token);
            return None;
        }
        let refused = status::from_bytes(answer);
        match refused.code() {
            Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded | Code::Internal | Code::Unknown => {
                entry.refusals += 1;
                // A lease has one report, so nobody returns together with it: no jitter is needed.
                let pause = status::retry_after(&refused).unwrap_or_else(|| REDELIVERY.bound(entry.refusals));
                tracing::warn!(error = refused.message(), "the queue cannot take a report now: it is kept");
                entry.again = Some(now + pause);
                None
            }
            // What it says was refused (too large, say): unless less is said, the work is done again, and refused again.
            Code::InvalidArgument | Code::OutOfRange if report.refuse(refused.message()) => {
                tracing::warn!(error = refused.message(), "the queue does not take a report: it is told less");
                entry.send(self.result_bytes_max)
            }
            _ => {
                tracing::info!(reason = status::reason(&refused), error = refused.message(), "a report came too late");
                self.remove(token);
                None
            }
        }
    }

    /// No more leases are taken; those that are held go on.
    pub(crate) fn close(&mut self) {
        self.closing = true;
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.leases.is_empty()
    }
}

#[cfg(test)]
mod tests;
