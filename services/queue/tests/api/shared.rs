//! Two queues on one PostgreSQL.

mod backlog;
mod contention;
mod death;
mod elsewhere;
mod leases;

use std::sync::Arc;

use holdfast_testkit::Postgres;
use tempfile::TempDir;

use crate::harness::Harness;

/// Two queue processes, and the database that they share.
pub(crate) struct Pair {
    pub(crate) one: Harness,
    pub(crate) other: Harness,
    pub(crate) postgres: Postgres,
    directory: Arc<TempDir>,
    toml: String,
}

impl Pair {
    pub(crate) async fn start() -> Self {
        Self::with("").await
    }

    /// Both with these keys of `[queue]`.
    pub(crate) async fn with(toml: &str) -> Self {
        let postgres = Postgres::start().await;
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let one = Harness::on(&postgres.url(), &directory, toml).await;
        let other = Harness::on(&postgres.url(), &directory, toml).await;
        Self { one, other, postgres, directory, toml: toml.to_owned() }
    }

    /// One more.
    pub(crate) async fn join(&self) -> Harness {
        Harness::on(&self.postgres.url(), &self.directory, &self.toml).await
    }
}
