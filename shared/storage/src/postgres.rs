//! One schema in a PostgreSQL that processes share: sessions set up the same way everywhere, tables brought up to date,
//! connections for reads, and a writer that commits in groups.

mod doubt;
mod failure;
mod ledger;
mod migrate;
mod session;
mod transaction;
mod writer;

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection};

use crate::{Class, Failure, OpenError};
pub use doubt::Witness;
pub use failure::Trouble;
pub use ledger::{Applied, Decided, Ledger, Wrote};

/// How long a new connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long a read may wait for a connection.
const ACQUIRE_WITHIN: Duration = Duration::from_secs(5);
/// How long a connection for reads is kept that nobody uses.
const IDLE_FOR: Duration = Duration::from_secs(60);
/// Statements that a connection keeps prepared.
const PREPARED_MAX: usize = 512;

/// What every session is told. Plans must not depend on statistics: a plan made while a table was empty would stay for
/// good, and be wrong by orders of magnitude once it is full. So there are generic plans only, and of index scans only, by the
/// index that has the order that is asked for. Whoever stops in the middle of a transaction loses it, and its locks, before
/// others give up waiting for them.
const SETTINGS: [(&str, &str); 12] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_sort", "off"),
    ("jit", "off"),
    ("synchronous_commit", "on"),
    ("lock_timeout", "5s"),
    ("statement_timeout", "30s"),
    ("idle_in_transaction_session_timeout", "3s"),
    ("tcp_user_timeout", "10s"),
];

/// A schema in a database, ready to be used.
#[derive(Debug, Clone)]
pub struct Postgres {
    options: PgConnectOptions,
    reads: PgPool,
    lists: PgPool,
    duties: PgPool,
}

/// Whose the schema is.
#[derive(Debug, Clone, Copy)]
pub struct PostgresOptions<'a> {
    /// `postgres://user:password@host/database`.
    pub url: &'a str,
    /// The schema, made where it is missing.
    pub schema: &'a str,
    /// As the server's own views name the sessions.
    pub name: &'a str,
    /// Connections for reads.
    pub reads_max: u32,
    /// Connections for reads that may take long.
    pub lists_max: u32,
    /// Connections for what the process does of its own accord.
    pub duties_max: u32,
}

impl Postgres {
    /// Brings the schema's tables up to date. Processes that start together do so one after another.
    ///
    /// # Errors
    /// [`OpenError`] names the server (never a password) and what to do.
    pub async fn open(wanted: PostgresOptions<'_>, migrations: &[(i64, &'static str)]) -> Result<Self, OpenError> {
        let options = PgConnectOptions::from_str(wanted.url)
            .map_err(|error| OpenError::Url { message: error.to_string() })?
            .application_name(wanted.name)
            .statement_cache_capacity(PREPARED_MAX)
            .disable_statement_logging()
            .options([("search_path", wanted.schema)])
            .options(SETTINGS);
        migrate::run(&options, wanted.schema, migrations).await?;
        let pool = |connections_max| {
            PgPoolOptions::new()
                .max_connections(connections_max)
                .acquire_timeout(ACQUIRE_WITHIN)
                .idle_timeout(IDLE_FOR)
                .connect_lazy_with(options.clone())
        };
        let (reads, lists, duties) = (pool(wanted.reads_max), pool(wanted.lists_max), pool(wanted.duties_max));
        Ok(Self { options, reads, lists, duties })
    }

    /// Connections for what callers read.
    #[must_use]
    pub fn reads(&self) -> &PgPool {
        &self.reads
    }

    /// Connections for reads that may take long: however many are under way, what is found at once does not wait behind them.
    #[must_use]
    pub fn lists(&self) -> &PgPool {
        &self.lists
    }

    /// Connections for what the process does of its own accord: however much callers read, it does not wait behind that.
    #[must_use]
    pub fn duties(&self) -> &PgPool {
        &self.duties
    }

    /// A connection apart from those.
    ///
    /// # Errors
    /// What the server says, or that it does not answer.
    pub async fn connect(&self) -> Result<PgConnection, Failure> {
        connect(&self.options).await
    }
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, Failure> {
    match tokio::time::timeout(CONNECT_WITHIN, PgConnection::connect_with(options)).await {
        Ok(connected) => connected.map_err(Failure::from),
        Err(_) => Err(Failure::new(Class::Io, "the database does not answer")),
    }
}

/// The server without what is secret.
fn named(options: &PgConnectOptions) -> String {
    let (host, port) = (options.get_host(), options.get_port());
    match options.get_database() {
        Some(database) => format!("{host}:{port}/{database}"),
        None => format!("{host}:{port}"),
    }
}
