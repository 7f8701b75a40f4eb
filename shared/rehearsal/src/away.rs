//! What is taken away from a mesh while it works, and given back.
//!
//! An end outside is taken away by its own faults: it refuses whatever comes. A service is taken away by SIGKILL, again each
//! time that it is started anew, until its time is over: nobody can reach it, and what it had in memory is gone. A database is
//! killed with all of its processes, and started again with its files when its time is over. Of the pool all workers end in the
//! midst of what they do, without a word to anybody, and others begin when its time is over.

mod processes;

use std::time::{Duration, Instant};

use holdfast_config::Peer;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{sleep_until, timeout_at};

use crate::ends::Ends;
use crate::error::Error;
use crate::pool::Presence;
use crate::stores::{Store, Stores};
pub(crate) use processes::Processes;

/// What is taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Away {
    /// The provider of the model.
    Provider,
    /// All tools.
    Tools,
    /// The door.
    Gateway,
    /// What keeps invocations.
    Queue,
    /// What keeps records.
    State,
    /// What calls tools.
    ToolProxy,
    /// What calls models.
    LlmProxy,
    /// All workers.
    Pool,
    /// Where invocations and records are kept. Where it is taken, the mesh stands on one.
    Postgres,
    /// What decides about records before that, and what proxies share. Where it is taken, the mesh stands on one.
    Redis,
}

/// From when to when, in the time of the rehearsal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outage {
    pub(crate) what: Away,
    pub(crate) from: Duration,
    pub(crate) until: Duration,
}

/// Whoever takes and gives.
#[derive(Debug)]
pub(crate) struct Hand<'a> {
    pub(crate) ends: &'a Ends,
    /// None where the mesh is not ours to kill.
    pub(crate) processes: Option<Processes>,
    /// What the mesh stands on.
    pub(crate) stores: &'a Stores,
    /// Whether there are workers.
    pub(crate) pool: Presence,
    /// Tools, with the faults that they have by themselves.
    pub(crate) tools: Vec<(String, Value)>,
}

/// How the ends misbehave by themselves.
#[derive(Debug)]
pub(crate) struct Usual {
    provider: Value,
    tools: Vec<(String, Value)>,
}

impl Usual {
    /// As the provider has it now, and as tools are set.
    pub(crate) async fn of(ends: &Ends, tools: Vec<(String, Value)>) -> Result<Self, Error> {
        Ok(Self { provider: ends.faults().await?, tools })
    }

    /// Makes everything as it was.
    pub(crate) async fn give_back(&self, ends: &Ends) -> Result<(), Error> {
        ends.set("faults", &self.provider).await?;
        for (tool, faults) in &self.tools {
            ends.set(&format!("tools/{tool}/faults"), faults).await?;
        }
        Ok(())
    }
}

impl Hand<'_> {
    /// Takes everything away in its time, and gives it back.
    pub(crate) async fn play(&self, began: Instant, outages: &[Outage]) -> Result<(), Error> {
        for outage in outages {
            sleep_until((began + outage.from).into()).await;
            let until = began + outage.until;
            match (outage.what.service(), outage.what.store()) {
                (Some(peer), _) => self.processes()?.keep_away(peer, until).await?,
                (None, Some(store)) => self.stores.keep_away(store, until).await?,
                (None, None) => self.end(outage.what, until).await?,
            }
        }
        Ok(())
    }

    fn processes(&self) -> Result<&Processes, Error> {
        let ours = "services are taken away only from a mesh of the rehearsal's own: leave out --address";
        self.processes.as_ref().ok_or_else(|| Error::Mesh(ours.into()))
    }

    /// What is neither a service nor a database.
    async fn end(&self, what: Away, until: Instant) -> Result<(), Error> {
        let gone = json!({"error_rate": 1.0, "error_status": 503});
        match what {
            Away::Provider => {
                let usual = self.ends.faults().await?;
                self.ends.set("faults", &gone).await?;
                sleep_until(until.into()).await;
                self.ends.set("faults", &usual).await
            }
            Away::Pool => {
                self.pool.end();
                sleep_until(until.into()).await;
                self.pool.begin();
                Ok(())
            }
            _ => {
                for (tool, _) in &self.tools {
                    self.ends.set(&format!("tools/{tool}/faults"), &gone).await?;
                }
                sleep_until(until.into()).await;
                for (tool, usual) in &self.tools {
                    self.ends.set(&format!("tools/{tool}/faults"), usual).await?;
                }
                Ok(())
            }
        }
    }
}

impl Away {
    /// The service that it is; None for all else.
    pub(crate) const fn service(self) -> Option<Peer> {
        match self {
            Self::Provider | Self::Tools | Self::Pool | Self::Postgres | Self::Redis => None,
            Self::Gateway => Some(Peer::Gateway),
            Self::Queue => Some(Peer::Queue),
            Self::State => Some(Peer::State),
            Self::ToolProxy => Some(Peer::ToolProxy),
            Self::LlmProxy => Some(Peer::LlmProxy),
        }
    }

    /// The database that it is; None for all else.
    pub(crate) const fn store(self) -> Option<Store> {
        match self {
            Self::Postgres => Some(Store::Postgres),
            Self::Redis => Some(Store::Redis),
            _ => None,
        }
    }

    /// Whether only a mesh of the rehearsal's own may lose it. Ends outside have faults for that, and the pool is always its own.
    pub(crate) const fn is_of_the_mesh(self) -> bool {
        self.service().is_some() || self.store().is_some()
    }
}

impl Processes {
    async fn keep_away(&self, peer: Peer, until: Instant) -> Result<(), Error> {
        // Ends by its time; what it was killed for is that it is not there until then.
        match timeout_at(until.into(), self.kill_again_and_again(peer)).await {
            Ok(failed) => failed,
            Err(_) => Ok(()),
        }
    }
}
