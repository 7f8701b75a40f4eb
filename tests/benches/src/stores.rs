//! The state service on each of its stores, with what that store needs.

use holdfast_config::Peer;
use holdfast_testkit::{Mesh, Postgres, Redis};

use crate::mesh;

/// Where state is kept and decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    /// In the process, on its files.
    Embedded,
    /// In PostgreSQL.
    Postgres,
    /// In Redis, before PostgreSQL.
    RedisPostgres,
}

impl Store {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Postgres => "postgres",
            Self::RedisPostgres => "redis_postgres",
        }
    }
}

/// The servers.
#[derive(Debug)]
pub(crate) struct Stores {
    /// One for each kind of deciding: they do not share a schema.
    postgres: [Postgres; 2],
    redis: Redis,
}

impl Stores {
    pub(crate) async fn start() -> Self {
        Self { postgres: [Postgres::start().await, Postgres::start().await], redis: Redis::start().await }
    }

    /// Where Redis is.
    pub(crate) fn redis_url(&self) -> String {
        self.redis.url()
    }

    /// The state service alone.
    pub(crate) async fn mesh(&self, store: Store) -> Mesh {
        let wanted = [Peer::State];
        match store {
            Store::Embedded => mesh::start(&wanted).await,
            Store::Postgres => mesh::start_on(Some(&self.postgres[0]), &wanted).await,
            Store::RedisPostgres => mesh::start_with(&self.postgres[1], &self.redis, &wanted).await,
        }
    }
}
