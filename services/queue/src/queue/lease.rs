//! Leases for simple clients: ask, wait for the first, renew.

use std::sync::Arc;
use std::time::Duration;

use holdfast_rpc::Error;
use holdfast_rpc::lease::LeaseToken;
use tokio::sync::oneshot;
use tokio::time::Instant;
use uuid::Uuid;

use super::core::{Commands, TakerEntry};
use super::grant::{Grant, LeaseCall, Renewal, Taker};
use super::tag::AdoptWhy;
use super::{Queue, Shared, refusal};
use crate::domain::record::{Outcome, Record, Standing};
use crate::domain::transition::{CANCELLED, DEADLINE_PASSED, LEASE_LOST};
use crate::store::{Adopt, AdoptFrom, KeptLease};

/// When to come back to a queue that has too many workers.
const CROWDED: Duration = Duration::from_secs(1);

/// Who asks for leases.
#[derive(Debug, Clone)]
pub struct LeaseAsk {
    /// The worker's name.
    pub worker: Arc<str>,
    /// Its agent types.
    pub agents: Vec<Arc<str>>,
    /// The tenant that it is confined to.
    pub tenant: Option<Arc<str>>,
    /// At most so many.
    pub leases_max: u32,
    /// How long it waits for the first.
    pub wait: Duration,
}

/// A lease and its invocation, out of a token whose signature holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Holder {
    pub(crate) invocation: Uuid,
    pub(crate) lease: Uuid,
    pub(crate) attempt: u32,
}

impl Holder {
    /// # Errors
    /// Ids that are none.
    pub(crate) fn of(claims: &LeaseToken) -> Result<Self, Error> {
        let id = |text: &str| Uuid::try_parse(text).map_err(|_| Error::unauthenticated("the lease token is malformed"));
        Ok(Self { invocation: id(&claims.invocation_id)?, lease: id(&claims.lease_id)?, attempt: claims.attempt })
    }
}

impl Queue {
    /// Leases what is ready, or waits for the first.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED with too many workers, UNAVAILABLE while draining.
    pub async fn lease(&self, ask: LeaseAsk) -> Result<Vec<Grant>, Error> {
        let until = Instant::now() + ask.wait;
        loop {
            // Dropped with the call, so that nothing is kept for a client that has gone.
            let mut waiting = self.ask(&ask)?;
            if self.shared.store.shared().is_some() && !waiting.is_promised() {
                // There may be more than is in sight, also for a caller who does not want to wait.
                self.shared.look_for(&ask.agents).await;
            }
            let grants = match tokio::time::timeout_at(until, waiting.answered()).await {
                Ok(grants) => grants,
                Err(_) if waiting.withdraw() => return Ok(Vec::new()),
                // Promised already: the store's answer is a commit away.
                Err(_) => waiting.answered().await,
            };
            // None of what was promised could be had: it ended, or the store failed.
            if !grants.is_empty() || Instant::now() >= until {
                return Ok(grants);
            }
        }
    }

    fn ask(&self, ask: &LeaseAsk) -> Result<Waiting, Error> {
        let shared = &self.shared;
        let now = shared.clock.now();
        let (reply, answer) = oneshot::channel();
        let id = Uuid::now_v7();
        let mut core = shared.core.lock();
        if core.draining {
            return Err(refusal::draining());
        }
        if core.takers.len() >= shared.config.workers_max {
            return Err(Error::exhausted("too many workers are connected", CROWDED));
        }
        let taker = Taker::Call(LeaseCall { promised: 0, grants: Vec::new(), reply: Some(reply) });
        let entry = TakerEntry { taker, name: Arc::clone(&ask.worker), tenant: ask.tenant.clone() };
        core.takers.insert(id, entry);
        core.asks(id, ask.agents.clone(), ask.tenant.clone(), ask.leases_max);
        let mut commands = Commands::new();
        core.dispatch(now, &mut commands);
        shared.submit(&mut core, commands, now);
        drop(core);
        Ok(Waiting { shared: Arc::clone(shared), id, answer })
    }

    /// Renews leases, each for itself.
    ///
    /// # Errors
    /// A token that is not one of ours, or another tenant's; UNAVAILABLE where it is not known here, and the store does not
    /// say more.
    pub async fn heartbeat(&self, tenant: Option<&str>, tokens: Vec<String>) -> Result<Vec<Renewal>, Error> {
        let mut renewals = Vec::with_capacity(tokens.len());
        for token in tokens {
            let holder = self.shared.holder(tenant, &token)?;
            let lease = self.shared.renew(holder).await?;
            renewals.push(Renewal { token, lease });
        }
        Ok(renewals)
    }
}

impl Shared {
    /// Who holds a lease, by its token.
    pub(crate) fn holder(&self, tenant: Option<&str>, token: &str) -> Result<Holder, Error> {
        Holder::of(&self.claims(tenant, token)?)
    }

    /// What a token says, where it is one of ours, and the tenant's.
    pub(crate) fn claims(&self, tenant: Option<&str>, token: &str) -> Result<LeaseToken, Error> {
        let claims = self.key.verify(token)?;
        match tenant {
            Some(tenant) if tenant != claims.tenant => Err(Error::permission_denied("the lease is another tenant's")),
            _ => Ok(claims),
        }
    }

    /// Renews a lease, or says why it is over.
    pub(super) async fn renew(self: &Arc<Self>, holder: Holder) -> Result<Result<Duration, &'static str>, Error> {
        let ttl = *self.config.lease_ttl;
        let until = self.clock.now().moment.after(ttl);
        let elsewhere = {
            let mut core = self.core.lock();
            if core.leases.renew(holder.lease, until) {
                return Ok(Ok(ttl));
            }
            core.window.is_some() && core.leases.get(holder.lease).is_none()
        };
        if elsewhere {
            // Its holder came here with it: from now on this process times it.
            let adopt = Adopt { id: holder.invocation, lease: holder.lease, from: AdoptFrom::Anyone, to: None };
            match self.move_leases([(adopt, AdoptWhy::Shown(None))]).await.first() {
                Some(Some(true)) => return Ok(Ok(ttl)),
                Some(Some(false)) => {}
                Some(None) | None => return Err(refusal::unsure()),
            }
        }
        // That it is over is certain; a store that cannot say why changes nothing in that.
        Ok(match self.store.get(holder.invocation, None, false).await {
            Ok(Some(record)) => Err(why_lost(&record, holder.lease)),
            Ok(None) | Err(_) => Err(LEASE_LOST),
        })
    }

    /// The token of a lease that another process granted.
    pub(super) fn token_of(&self, kept: &KeptLease) -> Arc<str> {
        let token = LeaseToken {
            tenant: kept.tenant.clone(),
            session: kept.session.clone().unwrap_or_default(),
            invocation_id: kept.id.to_string(),
            attempt: kept.attempt,
            lease_id: kept.lease.id.to_string(),
            fence: kept.lease.fence,
            agent: kept.agent.clone(),
        };
        self.key.sign(&token).into()
    }
}

fn why_lost(record: &Record, lease: Uuid) -> &'static str {
    let Standing::Ended(ended) = &record.standing else { return LEASE_LOST };
    if ended.lease.as_ref().is_none_or(|held| held.id != lease) {
        return LEASE_LOST;
    }
    match &ended.outcome {
        Outcome::Cancelled(_) => CANCELLED,
        Outcome::Failed(failure) if failure.reason == DEADLINE_PASSED => DEADLINE_PASSED,
        Outcome::Succeeded(_) | Outcome::Failed(_) | Outcome::Dead(_) => LEASE_LOST,
    }
}

/// A call's place in the line. Dropped before its answer was taken, what it was granted goes back.
struct Waiting {
    shared: Arc<Shared>,
    id: Uuid,
    answer: oneshot::Receiver<Vec<Grant>>,
}

impl Waiting {
    async fn answered(&mut self) -> Vec<Grant> {
        (&mut self.answer).await.unwrap_or_default()
    }

    fn is_promised(&self) -> bool {
        self.shared.core.lock().idle_call(self.id).is_none()
    }

    /// Leaves the line; false where leases are promised already.
    fn withdraw(&self) -> bool {
        let mut core = self.shared.core.lock();
        if core.idle_call(self.id).is_none() {
            return false;
        }
        core.demand.leave(self.id);
        core.takers.remove(&self.id);
        true
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // What is promised finds nobody to take it and goes back; else there is nothing to leave.
        self.withdraw();
        // What has come, but was not taken: its client has gone, or the queue drains.
        self.answer.close();
        if let Ok(grants) = self.answer.try_recv() {
            self.shared.hand_back(&grants);
        }
    }
}

#[cfg(test)]
mod tests {
    use holdfast_rpc::lease::LeaseKey;

    use super::super::outage::{ask, submission};
    use super::*;
    use crate::config::Config;

    #[tokio::test]
    async fn a_token_says_which_agent_does_the_work() {
        let (directory, key) = (tempfile::tempdir().unwrap(), LeaseKey::new(b"k"));
        let queue = Queue::open(directory.path(), Config::default(), key.clone()).await.unwrap();
        queue.enqueue(submission()).await.unwrap();
        let token = queue.lease(ask()).await.unwrap().remove(0).token;
        assert_eq!(key.verify(&token).unwrap().agent, "a");
    }

    #[expect(clippy::disallowed_methods, reason = "it is the pause itself: the whole process must stand still")]
    #[tokio::test]
    async fn a_queue_that_was_paused_frees_nothing_before_it_has_listened() {
        let directory = tempfile::tempdir().unwrap();
        let ttl = holdfast_config::Span(Duration::from_millis(200));
        let config = Config { lease_ttl: ttl, stream_grace: ttl, ..Config::default() };
        let queue = Queue::open(directory.path(), config, LeaseKey::new(b"k")).await.unwrap();
        queue.enqueue(submission()).await.unwrap();
        let token = queue.lease(ask()).await.unwrap().remove(0).token.to_string();
        // The whole process stands still, and its reaper runs before anything that came meanwhile is read.
        std::thread::sleep(Duration::from_millis(500));
        queue.reap();
        assert!(queue.heartbeat(None, vec![token]).await.unwrap()[0].lease.is_ok());
    }

    #[tokio::test]
    async fn what_a_call_was_granted_goes_back_at_once_when_it_ends_before_it_took_it() {
        let directory = tempfile::tempdir().unwrap();
        let queue = Queue::open(directory.path(), Config::default(), LeaseKey::new(b"k")).await.unwrap();
        let mut call = Box::pin(queue.lease(ask()));
        assert!(futures::poll!(&mut call).is_pending(), "nothing is there");
        // It is granted in the commit that accepts it; the call has not looked since.
        let id = queue.enqueue(submission()).await.unwrap().id;
        drop(call);
        let soon = LeaseAsk { wait: Duration::from_secs(5), ..ask() };
        let grant = queue.lease(soon).await.unwrap().pop().expect("it does not wait for the lease's end");
        assert_eq!((grant.record.accepted.id, grant.record.tries.len()), (id, 1));
    }
}
