//! Watching the place and the row.

use std::{sync::Arc, time::Duration};

use holdfast_rpc::service::Stop;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{error, info, warn};

use super::absence::Absence;
use crate::{
    domain::EpochId,
    place::Identity,
    redis::{
        archive::{Deciding, Who},
        engine::Engine,
        planted::Fault,
    },
};

/// The least time between two looks, however often they are wanted.
const PACE: Duration = Duration::from_millis(20);
/// How often in a row a place must be found the same before it decides again.
const STEADY: u32 = 2;

/// What the watcher remembers between two looks.
pub(super) struct Watch {
    pub(super) engine: Arc<Engine>,
    away: Absence,
    /// Since when an epoch is seen to drain.
    drains: Option<(EpochId, Duration)>,
    /// Which life of the place was seen last, and how often in a row.
    steady: Option<(Identity, u32)>,
    /// The epoch whose predecessors' remains are cleared away, and the work on it.
    cleared: Option<EpochId>,
    clearing: JoinSet<Option<EpochId>>,
    /// Whether the store could be asked the last time.
    heard: bool,
}

/// Watches until it is told to stop.
pub(in crate::redis) async fn run(engine: Arc<Engine>, stop: Stop) {
    let mut watch = Watch {
        engine: Arc::clone(&engine),
        away: Absence::default(),
        drains: None,
        steady: None,
        cleared: None,
        clearing: JoinSet::new(),
        heard: true,
    };
    loop {
        let looked = async {
            watch.look().await;
            sleep(PACE).await;
            let _ = timeout(engine.settings.renew, engine.lease.wanted()).await;
        };
        if stop.run_until_cancelled(looked).await.is_none() {
            return;
        }
    }
}

impl Watch {
    /// One look at the place and at the row, and what follows from them.
    async fn look(&mut self) {
        let asked = self.engine.lease.now();
        // What a place is asked for has to be answered well within the time after which it counts as gone.
        let identity = timeout(self.engine.settings.gone_after, self.engine.place.identity()).await;
        let identity = identity.ok().and_then(Result::ok);
        let deciding = match self.engine.archive.deciding().await {
            Ok(deciding) => deciding,
            Err(failure) => {
                if std::mem::replace(&mut self.heard, false) {
                    warn!(error = %failure, "the store does not say who decides");
                }
                return;
            }
        };
        if !std::mem::replace(&mut self.heard, true) {
            info!("the store says who decides again");
        }
        self.note(asked, identity.as_ref());
        if deciding.draining || !deciding.same_server {
            self.engine.learn(asked, deciding.clone());
            return self.drain(deciding, identity).await;
        }
        self.drains = None;
        if Engine::in_place(&deciding) && deciding.lease < self.engine.settings.lease {
            return self.say_lease(deciding.epoch).await;
        }
        match (&deciding.who, identity) {
            (Who::Place(known), Some(now)) if *known == now || self.engine.faults.has(Fault::IdentityUnchecked) => {
                self.same(asked, deciding, &now).await;
            }
            (Who::Place(_), Some(_)) => self.end(&deciding, "another life of the place answers").await,
            (Who::Place(_), None) => self.missed(asked, &deciding).await,
            (Who::Store, Some(now)) => {
                self.engine.learn(asked, deciding.clone());
                if self.steady.as_ref().is_some_and(|(_, looks)| *looks >= STEADY) {
                    self.begin(&deciding, Some(now)).await;
                }
            }
            (Who::Store, None) => drop(self.engine.learn(asked, deciding)),
        }
    }

    /// How often in a row the same life has answered.
    fn note(&mut self, now: Duration, identity: Option<&Identity>) {
        if identity.is_some() {
            self.away.answered(now, self.engine.settings.gone_after);
        }
        self.steady = match (self.steady.take(), identity) {
            (Some((same, looks)), Some(now)) if same == *now => Some((same, looks + 1)),
            (_, now) => now.map(|now| (now.clone(), 1)),
        };
    }

    /// The life that decides has answered.
    async fn same(&mut self, asked: Duration, deciding: Deciding, identity: &Identity) {
        let epoch = deciding.epoch;
        self.engine.place.accept(identity);
        if self.engine.lease.is_given_up(epoch) {
            return self.end(&deciding, "the place has not what the epoch left there").await;
        }
        self.engine.learn(asked, deciding);
        self.clear(epoch);
    }

    /// Clears away what is left of other epochs, beside the watching. Every process does: who began the epoch may be dead.
    fn clear(&mut self, epoch: EpochId) {
        while let Some(done) = self.clearing.try_join_next() {
            self.cleared = done.ok().flatten();
        }
        if self.cleared != Some(epoch) && self.clearing.is_empty() {
            self.clearing.spawn(Arc::clone(&self.engine).clear(epoch));
        }
    }

    /// Before an epoch is believed in, whoever may end it has to know for how long; then it is asked for again.
    async fn say_lease(&self, epoch: EpochId) {
        match self.engine.archive.believe(epoch, self.engine.settings.lease).await {
            Ok(()) => self.engine.lease.want(),
            Err(failure) => warn!(error = %failure, "the store does not take how long is believed who decides"),
        }
    }

    /// It has not: for a while that may pass.
    async fn missed(&mut self, asked: Duration, deciding: &Deciding) {
        if self.away.missed(deciding.epoch, asked, self.engine.settings.gone_after) {
            self.end(deciding, "the place does not answer").await;
        }
    }

    /// Begins the end of an epoch. Here it is over at once.
    async fn end(&mut self, deciding: &Deciding, why: &'static str) {
        warn!(epoch = %deciding.epoch, why, "who decides has to change");
        self.engine.lease.give_up(deciding.epoch);
        match self.engine.archive.drain(deciding.epoch).await {
            // Looked at again at once, for the wait begins when it is seen.
            Ok(()) => self.engine.lease.want(),
            Err(failure) => error!(error = %failure, "the store does not take that who decides has to change"),
        }
    }

    /// Waits until nobody can believe in the epoch any more, and ends it.
    async fn drain(&mut self, deciding: Deciding, identity: Option<Identity>) {
        let Engine { lease, faults, .. } = &*self.engine;
        let since = match self.drains {
            Some((epoch, since)) if epoch == deciding.epoch => since,
            _ => {
                // By the own clock, from after it was seen: a renewal that was sent before counts from before.
                let now = lease.now();
                self.drains = Some((deciding.epoch, now));
                now
            }
        };
        let waited = lease.now().saturating_sub(since) >= self.wait(&deciding, identity.is_some());
        if !waited && !faults.has(Fault::EagerChange) {
            return;
        }
        if let Some(now) = &identity {
            self.engine.place.accept(now);
            self.salvage(&deciding, now).await;
        }
        self.begin(&deciding, identity).await;
    }

    /// How long it takes until nobody can believe in an epoch any more, the longest lease of all counted.
    fn wait(&self, deciding: &Deciding, reaches_place: bool) -> Duration {
        let Engine { lease, settings, .. } = &*self.engine;
        let lease = lease.span().max(deciding.lease);
        // Who reaches the place can prove what its log holds: he goes first.
        let others =
            if reaches_place || !Engine::in_place(deciding) { Duration::ZERO } else { 2 * settings.gone_after };
        lease + settings.margin.max(lease / 20) + others
    }
}
