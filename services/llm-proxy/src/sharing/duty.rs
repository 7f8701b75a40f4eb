//! Keeps one provider's limits shared: speaks to its ledger whenever there is something to say, and now and then at least.

use std::{pin::pin, sync::Arc, time::Duration};

use ::redis::RedisError;
use holdfast_resilience::Backoff;
use holdfast_rpc::id;
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::{
    ledger::{Ledger, Session},
    member::{Member, Outcome, Stocks},
    round::{Answer, MemberId, Round},
};
use crate::{
    domain::{Pool, Stock},
    gate::Rounds,
    metrics,
};

/// A lease lasts for three of these and a bit.
const HEARTBEAT: Duration = Duration::from_millis(300);
/// An answer that takes longer is worth nothing: the lease has run out.
const PATIENCE: Duration = Duration::from_secs(1);
/// Redis takes no part of this long. Where it does, the share of the reserve need not wait for the end of the lease.
const PROMPTLY: Duration = Duration::from_millis(100);
/// Between two tries to reach Redis.
const AGAIN: Backoff = Backoff::doubling(Duration::from_millis(50), Duration::from_secs(1));
/// How long the end may take.
const FAREWELL: Duration = Duration::from_millis(500);

/// Ends with the service, and says goodbye.
#[derive(Debug)]
pub(crate) struct Duty {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Stocks for Pool {
    fn each(&mut self, visit: &mut dyn FnMut(&Arc<str>, u32, &mut Stock)) {
        self.stocks(visit);
    }
}

impl Duty {
    /// By the settings; `None` where they name no Redis.
    pub(crate) fn start(settings: &holdfast_config::Redis, provider: &str, rounds: Rounds) -> Option<Self> {
        let ledger = Ledger::new(settings, provider)?;
        let (stop, stopped) = oneshot::channel();
        let speaker = Speaker { member: Member::new(name(), rounds.now()), rounds, provider: provider.to_owned() };
        Some(Self { stop, task: tokio::spawn(speaker.run(ledger, stopped)) })
    }

    /// What was not used is given back.
    pub(crate) async fn end(mut self) {
        let _ = self.stop.send(());
        if timeout(FAREWELL, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

struct Speaker {
    member: Member,
    rounds: Rounds,
    provider: String,
}

impl Speaker {
    async fn run(mut self, ledger: Ledger, mut stopped: oneshot::Receiver<()>) {
        let mut failed = 0;
        loop {
            let joined = async {
                let mut session = timeout(PATIENCE, ledger.connect()).await.map_err(|_| silence())??;
                self.speak(&mut session).await.map(|()| session)
            };
            let why = match joined.await {
                Ok(mut session) => {
                    failed = 0;
                    self.shared(true);
                    let (provider, others) = (&self.provider, self.member.others());
                    tracing::info!(provider, others, "limits are shared with other processes through Redis");
                    let Some(why) = self.stay(&mut session, &mut stopped).await else { return };
                    why
                }
                Err(why) => why,
            };
            self.shared(false);
            self.cut_off();
            failed += 1;
            if failed == 1 {
                let provider = &self.provider;
                tracing::warn!(%why, provider, "Redis is away: this process goes on with its share of the reserve");
            }
            let pause = AGAIN.delay(failed, &mut rand::rng());
            tokio::select! {
                () = sleep(pause) => {}
                _ = &mut stopped => return,
            }
        }
    }

    fn shared(&self, shared: bool) {
        metrics::limits_shared(&self.provider, shared);
    }

    /// What the ledger never grants is used from here on, until it answers again.
    fn cut_off(&self) {
        self.rounds.step(|pool, _| pool.stocks(&mut |_, _, stock| stock.cut_off()));
    }

    /// Until the connection ends, and why; `None` when the service does.
    async fn stay(&mut self, session: &mut Session, stopped: &mut oneshot::Receiver<()>) -> Option<RedisError> {
        loop {
            let latest = Instant::now() + HEARTBEAT;
            tokio::select! {
                () = self.rounds.due(latest) => {}
                called = session.called() => match called {
                    None => return Some(gone()),
                    Some(called) if called.contains(self.member.id()) => {
                        self.rounds.step(|pool, _| pool.stocks(&mut |_, _, stock| stock.called()));
                    }
                    Some(_) => continue,
                },
                _ = &mut *stopped => {
                    self.rounds.step(|pool, _| pool.stocks(&mut |_, _, stock| stock.withdraw()));
                    let _ = self.speak(session).await;
                    return None;
                }
            }
            if let Err(why) = self.speak(session).await {
                return Some(why);
            }
        }
    }

    async fn ask(&self, session: &mut Session, round: &Round) -> Result<Answer, RedisError> {
        let mut asked = pin!(session.round(round));
        match timeout(PROMPTLY, asked.as_mut()).await {
            Ok(answer) => answer,
            Err(_) => {
                self.cut_off();
                timeout(PATIENCE - PROMPTLY, asked).await.map_err(|_| silence())?
            }
        }
    }

    /// One round, and another where the ledger has to be joined anew.
    async fn speak(&mut self, session: &mut Session) -> Result<(), RedisError> {
        for _ in 0..2 {
            let member = &mut self.member;
            let sent = self.rounds.step(|pool, now| member.speak(now, pool));
            let asked = Instant::now();
            let answer = self.ask(session, &sent.round).await?;
            let member = &mut self.member;
            metrics::round(&self.provider, asked.elapsed());
            let outcome = self.rounds.step(|pool, now| member.hear(now, &sent, answer, pool));
            if outcome != Outcome::Rejoins {
                return Ok(());
            }
            tracing::info!(
                provider = self.provider,
                "the ledger of shared limits knows this process no more: it joins anew"
            );
            session.ask_life().await?;
            self.rounds.step(|pool, now| member.rejoin(name(), now, pool));
        }
        Ok(())
    }
}

fn name() -> MemberId {
    MemberId(id::new().into())
}

fn silence() -> RedisError {
    super::ledger::error("it says nothing")
}

fn gone() -> RedisError {
    super::ledger::error("the connection has ended")
}
