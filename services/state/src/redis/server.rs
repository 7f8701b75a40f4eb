//! The way to a Redis: one, the master that Sentinels name, or the masters of a Cluster.
//!
//! Invariants:
//! - a new connection asks who answers before anything else, and nothing is asked of a life that was not accepted;
//! - every call ends by its time-out, and says whether it may have been done;
//! - while the breaker is open, no socket is opened.

mod info;
mod links;
mod request;
mod topology;
mod trouble;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use ::redis::Value;
use holdfast_config::Redis as Settings;
use holdfast_storage::{
    Failure,
    gate::{self, Gate},
};
use parking_lot::Mutex;
use tokio::time::timeout;

use crate::{
    domain::ShardId,
    metrics,
    place::{Identity, Trouble},
};

use super::keys::Keys;
use info::Unfit;
use links::Links;
pub use request::Request;
use topology::Topology;
use trouble::Remedy;

/// The name of its circuit.
const CIRCUIT: &str = "state-redis";

/// The way.
#[derive(Debug)]
pub struct Server {
    topology: Topology,
    gate: Gate,
    timeout: Duration,
    accepted: Mutex<Option<Identity>>,
    links: Mutex<Option<Arc<Links>>>,
    /// Who connects, and what came of it the last time.
    connecting: tokio::sync::Mutex<Result<(), Failure>>,
    attempts: AtomicU64,
}

impl Server {
    /// By the settings; `None` where they name no Redis. Nothing is opened yet.
    pub fn new(settings: &Settings, keys: &Keys) -> Option<Self> {
        let timeout = *settings.timeout;
        metrics::circuit_stands(CIRCUIT, holdfast_resilience::breaker::State::Closed);
        Some(Self {
            topology: Topology::new(settings, keys)?,
            // A call connects, if it must, and asks: each ends by the time-out. The gate ends what is slower still.
            gate: Gate::new(CIRCUIT, gate::settings(), timeout * 3, metrics::circuit_changed),
            timeout,
            accepted: Mutex::new(None),
            links: Mutex::new(None),
            connecting: tokio::sync::Mutex::new(Ok(())),
            attempts: AtomicU64::new(0),
        })
    }

    /// Whether a Redis that is there is one that can be used. One that is not there may be, later.
    ///
    /// # Errors
    /// What is wrong with it, for whoever runs it.
    pub async fn check(&self) -> Result<(), String> {
        match timeout(self.timeout * 2, self.topology.connect(self.timeout)).await {
            Ok(Err(Unfit::Never(why))) => Err(why),
            _ => Ok(()),
        }
    }

    /// From now on calls are for this life.
    pub fn accept(&self, identity: &Identity) {
        *self.accepted.lock() = Some(identity.clone());
    }

    /// Which life answers now: asked again on every connection, after a look at who the masters are.
    ///
    /// # Errors
    /// [`Trouble::Away`].
    pub async fn identity(&self) -> Result<Identity, Trouble> {
        let asked = self.gate.call(|| {
            Box::pin(async {
                let links = self.links().await?;
                let renewed = timeout(self.timeout, self.renew(&links)).await.unwrap_or_else(|_| Err(gate::silence()));
                renewed.inspect_err(|_| self.drop_links(&links))
            })
        });
        asked.await.map_err(|failure| Trouble::Away { failure, in_doubt: false })
    }

    async fn renew(&self, links: &Arc<Links>) -> Result<Identity, Failure> {
        // Where nobody says who the masters are, those that are known answer for themselves.
        let masters = timeout(self.timeout / 2, self.topology.masters(self.timeout)).await;
        if masters.is_ok_and(|masters| masters.is_ok_and(|masters| masters != *links.masters())) {
            self.drop_links(links);
            return Ok(self.links().await?.identity().clone());
        }
        let renewed = links.ask_again().await?;
        let identity = renewed.identity().clone();
        let mut held = self.links.lock();
        if held.as_ref().is_some_and(|held| Arc::ptr_eq(held, links)) {
            *held = Some(Arc::new(renewed));
        }
        Ok(identity)
    }

    /// Runs a script where a shard is. What it answers, behind its code.
    ///
    /// # Errors
    /// Another life than the accepted one; trouble.
    pub async fn call(&self, shard: ShardId, request: &Request<'_>) -> Result<(i64, Vec<Value>), Trouble> {
        let doubt = AtomicBool::new(false);
        let answer = self.gate.call(|| Box::pin(self.ask(shard, request, &doubt))).await;
        match answer {
            Ok(Some(value)) => request::reply(value),
            Ok(None) => Err(Trouble::Closed),
            Err(failure) => Err(Trouble::Away { failure, in_doubt: doubt.load(SeqCst) }),
        }
    }

    /// `None` where another life answers. `doubt` says at any time whether it may have been done.
    async fn ask(&self, shard: ShardId, request: &Request<'_>, doubt: &AtomicBool) -> Result<Option<Value>, Failure> {
        let mut again = true;
        loop {
            let links = self.links().await?;
            if self.accepted.lock().as_ref() != Some(links.identity()) {
                return Ok(None);
            }
            doubt.store(true, SeqCst);
            let error = match links.run(shard, request).await {
                Ok(value) => return Ok(Some(value)),
                Err(error) => error,
            };
            doubt.store(trouble::in_doubt(&error), SeqCst);
            match trouble::remedy(&error) {
                Remedy::Refresh if again => {
                    // It was not done there: ask again where it belongs now.
                    self.drop_links(&links);
                    again = false;
                }
                Remedy::Refresh | Remedy::Reconnect => {
                    self.drop_links(&links);
                    return Err(trouble::failure(&error));
                }
                Remedy::Stay => return Err(trouble::failure(&error)),
            }
        }
    }

    /// The connections, opened where there are none: by one call at a time, the others wait for what comes of it.
    async fn links(&self) -> Result<Arc<Links>, Failure> {
        if let Some(links) = self.links.lock().clone() {
            return Ok(links);
        }
        let before = self.attempts.load(SeqCst);
        let mut connecting = self.connecting.lock().await;
        if let Some(links) = self.links.lock().clone() {
            return Ok(links);
        }
        if self.attempts.load(SeqCst) != before {
            connecting.clone()?;
        }
        let opened = timeout(self.timeout, self.topology.connect(self.timeout)).await;
        let opened = opened.unwrap_or_else(|_| Err(Unfit::Now(gate::silence()))).map_err(Failure::from);
        *connecting = opened.as_ref().map(drop).map_err(Clone::clone);
        self.attempts.fetch_add(1, SeqCst);
        let links = Arc::new(opened?);
        *self.links.lock() = Some(Arc::clone(&links));
        Ok(links)
    }

    fn drop_links(&self, links: &Arc<Links>) {
        self.links.lock().take_if(|held| Arc::ptr_eq(held, links));
    }
}
