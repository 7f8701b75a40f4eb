//! Several processes on one PostgreSQL.

mod counter;
mod epochs;
mod fences;
mod locks;
mod outage;
mod pauses;
mod repeats;
mod suite;
mod watches;

use holdfast_state::Config;
use holdfast_testkit::Postgres as Server;

use crate::harness::{Harness, Home};

/// State processes, and the database that they share.
pub(crate) struct Several {
    pub(crate) processes: Vec<Harness>,
    pub(crate) server: Server,
}

impl Several {
    pub(crate) async fn start(processes: usize) -> Self {
        Self::with(processes, Config::default()).await
    }

    pub(crate) async fn with(processes: usize, config: Config) -> Self {
        let server = Server::start().await;
        let mut several = Self { processes: Vec::new(), server };
        for _ in 0..processes {
            let process = several.join(config.clone()).await;
            several.processes.push(process);
        }
        several
    }

    /// One more.
    pub(crate) async fn join(&self, config: Config) -> Harness {
        Harness::on(Home::at(&self.server.url()), config).await
    }

    /// The process whose turn it is.
    pub(crate) fn turn(&self, n: usize) -> &Harness {
        &self.processes[n % self.processes.len()]
    }
}
