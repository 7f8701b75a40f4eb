//! Who is in, by tenant. Decides, does nothing: the time comes in, so that every interleaving can be tested.
//!
//! Invariants: a refused call takes nothing, no token either; each place is given back once; a tenant without calls and
//! with a full bucket is not remembered, so that the table holds those who are there and no others.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use holdfast_resilience::TokenBucket;
use holdfast_resilience::bucket;

use super::pace::Pace;
use super::terms::{Agreed, Room, Terms};
use crate::allowance::Account;

/// What a call is to the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Asked and answered.
    Call,
    /// Waits for an invocation's end, or for events.
    Wait,
    /// A worker's stream, or its wait for a lease. Work that is under way is no new load: it has no rate.
    Worker,
    /// Asked and answered under a lease. No new load either.
    Leased,
    /// Ends or renews a lease. To refuse it would only make more work, so that it has places which no other call can take.
    Report,
}

/// What was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    Rate,
    Calls,
    Waits,
    Workers,
    Leased,
    AllWaits,
    AllWorkers,
    Tenants,
}

impl Limit {
    /// Its name in metrics.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Rate => "tenant_rate",
            Self::Calls => "tenant_concurrency",
            Self::Waits => "tenant_waiting",
            Self::Workers => "tenant_workers",
            Self::Leased => "tenant_leased",
            Self::AllWaits => "waiting",
            Self::AllWorkers => "workers",
            Self::Tenants => "tenants",
        }
    }

    /// For people.
    pub(super) fn told(self, tenant: &str) -> String {
        match self {
            Self::Rate => format!("{tenant} calls faster than was agreed (rate)"),
            Self::Calls => format!("{tenant} has as many calls in hand as were agreed (concurrency)"),
            Self::Waits => format!("{tenant} has as many waiting calls as one tenant may (gateway.tenant_waiting_max)"),
            Self::Workers => {
                format!("{tenant} has as many workers here as one tenant may (gateway.tenant_workers_max)")
            }
            Self::Leased => format!("{tenant}'s work has as many calls in hand as may be (gateway.tenant_leased_max)"),
            Self::AllWaits => "as many calls wait here as may (gateway.waiting_max)".into(),
            Self::AllWorkers => "as many workers are here as may be (gateway.workers_max)".into(),
            Self::Tenants => "too many tenants call at once".into(),
        }
    }
}

/// Why a call did not get in, and when it may.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) limit: Limit,
    pub(super) retry_after: Duration,
}

/// Tenants that are remembered at once.
pub(super) const TENANTS_MAX: usize = 10_000;

/// How often those who are gone are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// The table.
pub(super) struct Desk {
    room: Room,
    agreed: Agreed,
    tenants: HashMap<Arc<str>, Tenant>,
    waits: Seats,
    workers: Seats,
    swept_at: Duration,
}

/// A tenant, to the calls that are in.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: Arc<str>,
    /// Bytes of its requests that are being read.
    pub(super) reading: Arc<Account>,
    /// And of those on their way to the queue.
    pub(super) sending: Arc<Account>,
    /// Bytes of answers that its callers have not read.
    pub(super) unread: Arc<Account>,
}

impl Member {
    fn holds_nothing(&self) -> bool {
        [&self.reading, &self.sending, &self.unread].iter().all(|account| account.held() == 0)
    }
}

struct Tenant {
    terms: Terms,
    member: Arc<Member>,
    bucket: Option<TokenBucket>,
    calls: Seats,
    waits: Seats,
    workers: Seats,
    /// Calls under a lease, and reports.
    leased: Seats,
}

/// Places of one kind.
#[derive(Debug, Default)]
struct Seats {
    taken: usize,
    /// When the last place was taken: when all are, since then.
    taken_at: Duration,
    pace: Pace,
}

impl Seats {
    fn room(&self, now: Duration, max: usize, limit: Limit) -> Result<(), Refusal> {
        if self.taken < max { Ok(()) } else { Err(Refusal { limit, retry_after: self.pace.next(self.taken_at, now) }) }
    }

    fn enter(&mut self, now: Duration) {
        self.taken += 1;
        self.taken_at = now;
    }

    fn leave(&mut self, now: Duration) {
        self.taken -= 1;
        self.pace.left(now);
    }
}

impl Desk {
    pub(super) fn new(room: Room, agreed: Agreed) -> Self {
        let (waits, workers) = (Seats::default(), Seats::default());
        Self { room, agreed, tenants: HashMap::new(), waits, workers, swept_at: Duration::ZERO }
    }

    /// Lets a call in, or says when to come back.
    pub(super) fn enter(&mut self, now: Duration, tenant: &str, kind: Kind) -> Result<Arc<Member>, Refusal> {
        self.sweep(now);
        match kind {
            Kind::Wait => self.waits.room(now, self.room.waits_max, Limit::AllWaits)?,
            Kind::Worker => self.workers.room(now, self.room.workers_max, Limit::AllWorkers)?,
            Kind::Call | Kind::Leased | Kind::Report => {}
        }
        let tenant = self.known(now, tenant)?;
        tenant.enter(now, kind)?;
        let member = tenant.member.clone();
        if let Some(all) = self.all(kind) {
            all.enter(now);
        }
        Ok(member)
    }

    /// A call is over.
    pub(super) fn leave(&mut self, now: Duration, tenant: &str, kind: Kind) {
        let Some(tenant) = self.tenants.get_mut(tenant) else { return };
        tenant.seats(kind).leave(now);
        if let Some(all) = self.all(kind) {
            all.leave(now);
        }
    }

    /// The places that all tenants share, where this kind has some.
    fn all(&mut self, kind: Kind) -> Option<&mut Seats> {
        match kind {
            Kind::Wait => Some(&mut self.waits),
            Kind::Worker => Some(&mut self.workers),
            Kind::Call | Kind::Leased | Kind::Report => None,
        }
    }

    fn known(&mut self, now: Duration, tenant: &str) -> Result<&mut Tenant, Refusal> {
        if !self.tenants.contains_key(tenant) {
            if self.tenants.len() >= TENANTS_MAX {
                self.tenants.retain(|_, tenant| !tenant.is_idle(now));
            }
            if self.tenants.len() >= TENANTS_MAX {
                return Err(Refusal { limit: Limit::Tenants, retry_after: SWEEP_EVERY });
            }
            let new = Tenant::new(tenant, self.agreed.of(tenant), now);
            self.tenants.insert(new.member.name.clone(), new);
        }
        let Some(tenant) = self.tenants.get_mut(tenant) else { unreachable!("it is known by now") };
        Ok(tenant)
    }

    fn sweep(&mut self, now: Duration) {
        if now.saturating_sub(self.swept_at) >= SWEEP_EVERY {
            self.swept_at = now;
            self.tenants.retain(|_, tenant| !tenant.is_idle(now));
        }
    }
}

impl Tenant {
    fn new(name: &str, terms: Terms, now: Duration) -> Self {
        let mut bucket = terms.bucket();
        if let Some(bucket) = &mut bucket {
            // Its clock begins here.
            bucket.available(now);
        }
        let member = Member {
            name: name.into(),
            reading: Account::new(terms.request_bytes_max),
            sending: Account::new(terms.request_bytes_max),
            unread: Account::new(terms.unread_bytes_max),
        };
        let [calls, waits, workers, leased] = std::array::from_fn(|_| Seats::default());
        Self { terms, member: Arc::new(member), bucket, calls, waits, workers, leased }
    }

    fn seats(&mut self, kind: Kind) -> &mut Seats {
        match kind {
            Kind::Call => &mut self.calls,
            Kind::Wait => &mut self.waits,
            Kind::Worker => &mut self.workers,
            Kind::Leased | Kind::Report => &mut self.leased,
        }
    }

    fn enter(&mut self, now: Duration, kind: Kind) -> Result<(), Refusal> {
        let (max, limit) = match kind {
            Kind::Call => (self.terms.calls_max, Limit::Calls),
            Kind::Wait => (self.terms.waits_max, Limit::Waits),
            Kind::Worker => (self.terms.workers_max, Limit::Workers),
            Kind::Leased => (self.terms.leased_max, Limit::Leased),
            Kind::Report => (self.terms.reports_max(), Limit::Leased),
        };
        self.seats(kind).room(now, max, limit)?;
        let is_new_load = matches!(kind, Kind::Call | Kind::Wait);
        if is_new_load
            && let Some(bucket) = &mut self.bucket
            && let Err(bucket::Refusal::Wait(retry_after)) = bucket.try_take(now, 1)
        {
            return Err(Refusal { limit: Limit::Rate, retry_after });
        }
        self.seats(kind).enter(now);
        Ok(())
    }

    /// Forgetting it changes nothing: it has no calls, holds no bytes, and its bucket is as full as a new one.
    fn is_idle(&mut self, now: Duration) -> bool {
        let burst = u64::from(self.terms.burst);
        [&self.calls, &self.waits, &self.workers, &self.leased].iter().all(|seats| seats.taken == 0)
            && self.member.holds_nothing()
            && self.bucket.as_mut().is_none_or(|bucket| bucket.available(now) >= burst)
    }
}

#[cfg(test)]
mod tests;
