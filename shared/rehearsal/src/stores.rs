//! The databases of a mesh of our own: a PostgreSQL and a Redis, started for it on temporary data, killed, and started again.
//!
//! A mesh has those that its scenario takes away, and no others. What this machine has no programs for is left out, and told.

mod postgres;
mod program;
mod redis;
mod server;
mod warden;

use std::convert::Infallible;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::sync::Mutex;
use tokio::time::{sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use toml::{Table, Value};

use crate::away::Away;
use crate::error::Error;
use crate::scenario::Scenario;
pub(crate) use program::Found;
use server::Server;

/// How often it is looked whether they are still there.
const LOOK: Duration = Duration::from_secs(1);
/// Others must get through to what is theirs in here; what there is they need not see.
const PASSED_THROUGH: u32 = 0o711;

/// A database that a mesh can stand on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    /// What keeps invocations and records.
    Postgres,
    /// What decides about records before it, and what proxies share.
    Redis,
}

impl Store {
    /// As people call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL",
            Self::Redis => "Redis",
        }
    }

    const fn folder(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Redis => "redis",
        }
    }
}

/// What a scenario wants of this machine.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// What there is.
    pub(crate) found: Vec<Found>,
    /// What there is not, and why.
    pub(crate) missing: Vec<(Store, String)>,
}

impl Wanted {
    /// By this scenario.
    pub(crate) fn by(scenario: &Scenario) -> Self {
        let mut wanted = Self::default();
        for store in [Store::Postgres, Store::Redis] {
            let takes = |what: Away| what.store() == Some(store);
            if !scenario.phases.iter().any(|phase| phase.take.is_some_and(takes)) {
                continue;
            }
            match Found::on_this_machine(store) {
                Ok(found) => wanted.found.push(found),
                Err(why) => wanted.missing.push((store, why)),
            }
        }
        wanted
    }

    /// What is left out, in a sentence each.
    pub(crate) fn left_out(&self) -> impl Iterator<Item = String> {
        self.missing.iter().map(|(store, why)| format!("{} is not taken away: {why}", store.name()))
    }
}

/// Databases that run.
#[derive(Debug, Default)]
pub(crate) struct Stores {
    servers: Vec<Mutex<Server>>,
    home: Option<TempDir>,
}

impl Stores {
    /// Starts what was found, one after the other, unless it is told to stop.
    pub(crate) async fn start(found: &[Found], stop: &CancellationToken) -> Result<Self, Error> {
        if found.is_empty() {
            return Ok(Self::default());
        }
        let machine = |error: std::io::Error| Error::Machine(format!("there is no room for databases: {error}"));
        let mut home = tempfile::Builder::new();
        let home = home.prefix("holdfast-rehearsal-stores-").permissions(Permissions::from_mode(PASSED_THROUGH));
        let mut stores = Self { servers: Vec::new(), home: Some(home.tempdir().map_err(machine)?) };
        match stop.run_until_cancelled(stores.start_all(found)).await.unwrap_or(Err(Error::Interrupted)) {
            Ok(()) => Ok(stores),
            Err(why) => {
                stores.stop().await;
                Err(why)
            }
        }
    }

    async fn start_all(&mut self, found: &[Found]) -> Result<(), Error> {
        let Some(home) = &self.home else { return Ok(()) };
        for found in found {
            self.servers.push(Mutex::new(Server::new(found.clone(), &home.path().join(found.store.folder()))?));
            if let Some(server) = self.servers.last_mut() {
                let server = server.get_mut();
                server.prepare().await?;
                server.begin().await?;
            }
        }
        Ok(())
    }

    /// What a mesh has to be told of them.
    pub(crate) fn settings(&mut self) -> Table {
        let mut settings = Table::new();
        for server in &mut self.servers {
            let server = server.get_mut();
            let section = match server.store() {
                Store::Postgres => "database",
                Store::Redis => "redis",
            };
            let url = Table::from_iter([("url".to_owned(), Value::String(server.url()))]);
            settings.insert(section.into(), Value::Table(url));
        }
        settings
    }

    /// Kills one, and starts it again at that time, with the port and the files that it had.
    pub(crate) async fn keep_away(&self, store: Store, until: Instant) -> Result<(), Error> {
        let mut server = self.of(store).await?;
        server.kill().await?;
        sleep_until(until.into()).await;
        server.begin().await
    }

    /// Kills all of them and starts them again, those that only pass things on without anything that they had: what is found
    /// afterwards was durable.
    pub(crate) async fn forget(&self) -> Result<(), Error> {
        for server in &self.servers {
            let mut server = server.lock().await;
            server.kill().await?;
            if server.store() == Store::Redis {
                server.clear()?;
            }
            server.begin().await?;
        }
        Ok(())
    }

    /// Looks now and then; returns once one has ended by itself, and why nothing can be played any more.
    pub(crate) async fn end_by_themselves(&self) -> Error {
        match self.look().await {
            Ok(never) => match never {},
            Err(why) => why,
        }
    }

    async fn look(&self) -> Result<Infallible, Error> {
        loop {
            sleep(LOOK).await;
            for server in &self.servers {
                server.lock().await.lives()?;
            }
        }
    }

    /// Ends them.
    pub(crate) async fn stop(self) {
        for server in self.servers {
            server.into_inner().stop().await;
        }
    }

    async fn of(&self, store: Store) -> Result<tokio::sync::MutexGuard<'_, Server>, Error> {
        for server in &self.servers {
            let server = server.lock().await;
            if server.store() == store {
                return Ok(server);
            }
        }
        Err(Error::Mesh(format!("the mesh does not stand on a {}", store.name())))
    }
}
