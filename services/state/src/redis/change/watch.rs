//! Watching the place and the row.

use std::{sync::Arc, time::Duration};

use holdfast_rpc::service::Stop;
use tokio::time::{sleep, timeout};
use tracing::{debug, error, info, warn};

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
    /// Since when the place does not answer.
    away: Option<Duration>,
    /// Since when an epoch is seen to drain.
    drains: Option<(EpochId, Duration)>,
    /// Which life of the place was seen last, and how often in a row.
    steady: Option<(Identity, u32)>,
    /// The epoch that was begun here, whose predecessors' remains are to be cleared.
    pub(super) begun: Option<EpochId>,
    /// Whether the store could be asked the last time.
    heard: bool,
}

/// Watches until it is told to stop.
pub(in crate::redis) async fn run(engine: Arc<Engine>, stop: Stop) {
    let mut watch =
        Watch { engine: Arc::clone(&engine), away: None, drains: None, steady: None, begun: None, heard: true };
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
        self.note(identity.as_ref());
        if deciding.draining || !deciding.same_server {
            self.engine.learn(asked, deciding.clone());
            return self.drain(deciding, identity).await;
        }
        self.drains = None;
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
    fn note(&mut self, identity: Option<&Identity>) {
        if identity.is_some() {
            self.away = None;
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
        if self.begun == Some(epoch) {
            self.begun = None;
            self.clear(epoch).await;
        }
    }

    /// It has not: for a while that may pass.
    async fn missed(&mut self, asked: Duration, deciding: &Deciding) {
        let since = *self.away.get_or_insert(asked);
        let gone = self.engine.lease.now().saturating_sub(since);
        debug!(?gone, "the place does not answer");
        if gone >= self.engine.settings.gone_after {
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
        let Engine { lease, settings, faults, .. } = &*self.engine;
        let since = match self.drains {
            Some((epoch, since)) if epoch == deciding.epoch => since,
            _ => {
                // By the own clock, from after it was seen: a renewal that was sent before counts from before.
                let now = lease.now();
                self.drains = Some((deciding.epoch, now));
                now
            }
        };
        let waited = lease.now().saturating_sub(since) >= lease.span() + settings.margin;
        if !waited && !faults.has(Fault::EagerChange) {
            return;
        }
        if let Some(now) = &identity {
            self.engine.place.accept(now);
            self.salvage(&deciding, now).await;
        }
        self.begin(&deciding, identity).await;
    }
}
