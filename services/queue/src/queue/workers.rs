//! Workers' streams: hello, credits, adoption, breaking.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use holdfast_rpc::Error;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::core::{Commands, Core, TakerEntry};
use super::grant::{Renewal, Taker, Work};
use super::outbox::Outbox;
use super::settle::{Ending, Telling};
use super::tag::{AdoptTag, AdoptWhy, SettleTo, Tag, TellTo};
use super::{Queue, Shared, refusal};
use crate::domain::leases::Confines;
use crate::domain::transition::LEASE_LOST;
use crate::store::{Adopt, AdoptFrom, Command};

/// When to come back to a queue that has too many workers.
const CROWDED: Duration = Duration::from_secs(1);

/// Who a worker is and what it can run, checked.
#[derive(Debug, Clone)]
pub struct Hello {
    /// Its name.
    pub worker: Arc<str>,
    /// Its agent types.
    pub agents: Vec<Arc<str>>,
    /// The tenant that it is confined to.
    pub tenant: Option<Arc<str>>,
    /// Leases that it still holds.
    pub held_tokens: Vec<String>,
    /// Leases that it can take now.
    pub credits: u32,
}

/// An open worker's stream. Dropped, its leases have a grace.
pub(crate) struct WorkSession {
    shared: Arc<Shared>,
    id: Uuid,
    tenant: Option<Arc<str>>,
    outbox: Arc<Outbox<Work>>,
}

impl Queue {
    /// Opens a stream. The worker's held leases go on here; others of its broken streams are freed.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED with too many workers, UNAVAILABLE while draining.
    pub(crate) async fn open_stream(&self, hello: Hello, outbox: Arc<Outbox<Work>>) -> Result<WorkSession, Error> {
        let shared = &self.shared;
        let id = Uuid::now_v7();
        {
            let mut core = shared.core.lock();
            if core.draining {
                return Err(refusal::draining());
            }
            if core.takers.len() >= shared.config.workers_max {
                return Err(Error::exhausted("too many workers are connected", CROWDED));
            }
            let taker = Taker::Stream(Arc::clone(&outbox));
            let entry = TakerEntry { taker, name: Arc::clone(&hello.worker), tenant: hello.tenant.clone() };
            core.takers.insert(id, entry);
        }
        // From here on dropping it cleans up.
        let session =
            WorkSession { shared: Arc::clone(shared), id, tenant: hello.tenant.clone(), outbox: Arc::clone(&outbox) };
        let adopted = session.take_over(&hello).await?;
        outbox.tell(Work::Welcome { adopted, heartbeat_interval: shared.config.heartbeat_interval() });
        session.join(hello.agents, hello.credits);
        Ok(session)
    }

    /// A worker's reader has made room.
    pub(crate) fn kick(&self) {
        self.shared.core.lock().demand.resume();
        self.shared.pair();
    }
}

impl WorkSession {
    /// Adopts the leases that the worker names and frees the others of its broken streams. The tokens that go on here.
    ///
    /// # Errors
    /// UNAVAILABLE where the store does not say: the worker would stop work whose lease nobody has taken.
    async fn take_over(&self, hello: &Hello) -> Result<Vec<String>, Error> {
        let shared = &self.shared;
        let mut answers = Vec::new();
        {
            let now = shared.clock.now();
            let mut core = shared.core.lock();
            let mut commands = Commands::new();
            let mut named = HashSet::new();
            let mut streams: HashSet<Uuid> =
                core.leases.returned(&hello.worker, hello.tenant.as_deref()).into_iter().collect();
            for token in &hello.held_tokens {
                let Ok(holder) = shared.holder(hello.tenant.as_deref(), token) else { continue };
                let held = core.leases.get(holder.lease);
                let from = match held {
                    Some(held) => AdoptFrom::Stream(held.stream),
                    // Another process keeps it, or did.
                    None if core.window.is_some() => AdoptFrom::Anyone,
                    None => continue,
                };
                streams.extend(held.and_then(|held| held.stream));
                named.insert(holder.lease);
                let (reply, answer) = oneshot::channel();
                answers.push((token.clone(), answer));
                let adopt = Adopt { id: holder.invocation, lease: holder.lease, from, to: Some(self.id) };
                let tag = AdoptTag { lease: holder.lease, why: AdoptWhy::Shown(Some(self.id)), reply };
                commands.push((Tag::Adopt(tag), Command::Adopt(adopt)));
            }
            for stream in streams {
                close_stream(&mut core, stream);
                for lease in core.leases.of_stream(stream) {
                    if !named.contains(&lease) && self.may_free(&core, lease) && core.leases.free(lease) {
                        commands.extend(shared.lose(&core, lease, now.wall));
                    }
                }
            }
            shared.submit(&mut core, commands, now);
        }
        let mut adopted = Vec::new();
        for (token, answer) in answers {
            match answer.await {
                Ok(Some(true)) => adopted.push(token),
                Ok(Some(false)) => {}
                Ok(None) | Err(_) => return Err(refusal::undecided()),
            }
        }
        Ok(adopted)
    }

    fn may_free(&self, core: &Core, lease: Uuid) -> bool {
        let held = core.leases.get(lease);
        held.is_some_and(|held| self.tenant.as_ref().is_none_or(|tenant| *tenant == held.tenant))
    }

    fn join(&self, agents: Vec<Arc<str>>, credits: u32) {
        let credits = credits.min(self.shared.config.credits_max);
        self.shared.core.lock().asks(self.id, agents, self.tenant.clone(), credits);
        self.shared.pair();
    }

    /// The worker has more room.
    pub(crate) fn credit(&self, credits: u32) {
        let credits = credits.min(self.shared.config.credits_max);
        self.shared.core.lock().demand.add(self.id, credits);
        self.shared.pair();
    }

    /// Renews leases; each is answered on the stream. A token that is none of ours is a lost lease: it must not end the
    /// stream for the others.
    pub(crate) async fn heartbeat(&self, tokens: Vec<String>) {
        let mut renewals = Vec::with_capacity(tokens.len());
        for token in tokens {
            let lease = match self.shared.holder(self.tenant.as_deref(), &token) {
                Ok(holder) => self.shared.renew(holder).await,
                Err(_) => Ok(Err(LEASE_LOST)),
            };
            // Where the store does not say whose it is, the worker asks again.
            if let Ok(lease) = lease {
                renewals.push(Renewal { token, lease });
            }
        }
        self.outbox.tell(Work::Renewed(renewals));
    }

    /// Ends a lease, with what else goes to the store; answered on the stream.
    pub(crate) fn settle(&self, token: String, ending: Ending, commands: &mut Commands) {
        self.outbox.owe();
        let to = SettleTo::Worker { outbox: Arc::clone(&self.outbox), token: token.clone() };
        match self.shared.settlement(self.tenant.as_deref(), &token, ending, to) {
            Ok(command) => commands.push(command),
            Err((error, _)) => self.outbox.answer(token, Err(error)),
        }
    }

    /// Adds an event, with what else goes to the store; answered on the stream.
    pub(crate) fn tell(&self, token: String, telling: Telling, commands: &mut Commands) {
        self.outbox.owe();
        let to = TellTo::Worker { outbox: Arc::clone(&self.outbox), token: token.clone() };
        match self.shared.report(self.tenant.as_deref(), &token, telling, to) {
            Ok(command) => commands.push(command),
            Err((error, _)) => self.outbox.answer(token, Err(error)),
        }
    }

    /// Hands over what was read together.
    pub(crate) fn send(&self, commands: Commands) {
        if !commands.is_empty() {
            self.shared.send(commands);
        }
    }

    /// Refuses something that the worker sent for a lease.
    pub(crate) fn refuse(&self, token: String, error: Error) {
        self.outbox.tell(Work::Settled { token, outcome: Err(error) });
    }

    /// The queue drains: the worker is told, gets what it is owed, and the stream ends.
    pub(crate) fn drain(&self) {
        self.shared.core.lock().draining = true;
        self.outbox.tell(Work::Draining);
        self.outbox.finish();
    }
}

impl Drop for WorkSession {
    fn drop(&mut self) {
        let shared = &self.shared;
        let now = shared.clock.now();
        let mut core = shared.core.lock();
        core.demand.leave(self.id);
        if let Some(entry) = core.takers.remove(&self.id) {
            let until = now.moment.after(*shared.config.stream_grace);
            core.leases.broke(self.id, entry.name, Confines::To(entry.tenant), until);
        }
        let next = core.next_due();
        drop(core);
        shared.arm(next);
    }
}

impl Shared {
    /// Promises what is ready now.
    fn pair(self: &Arc<Self>) {
        let now = self.clock.now();
        let mut core = self.core.lock();
        let mut commands = Commands::new();
        core.dispatch(now, &mut commands);
        self.submit(&mut core, commands, now);
    }
}

/// The worker says that a stream of its own broke, whatever the connection says.
fn close_stream(core: &mut Core, stream: Uuid) {
    core.demand.leave(stream);
    if let Some(TakerEntry { taker: Taker::Stream(outbox), .. }) = core.takers.remove(&stream) {
        outbox.fail(Error::precondition("SUPERSEDED", "the worker has opened another stream"));
    }
}
