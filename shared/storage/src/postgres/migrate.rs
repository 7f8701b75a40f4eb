//! Tables brought up to date, by one process at a time.

use sqlx::Connection;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, SqlSafeStr};

use super::{connect, named};
use crate::OpenError;

/// Where each writer leaves the number of its last commit: see `doubt`. Those of processes long gone are forgotten.
const WITNESSES: &str = "BEGIN; SELECT pg_advisory_xact_lock(7190070);
    CREATE TABLE IF NOT EXISTS writers (
      writer bigint PRIMARY KEY, number bigint NOT NULL, at timestamptz NOT NULL
    ) WITH (fillfactor = 50);
    DELETE FROM writers WHERE at < now() - interval '7 days'; COMMIT";

pub(super) async fn run(
    options: &PgConnectOptions,
    schema: &str,
    migrations: &[(i64, &'static str)],
) -> Result<(), OpenError> {
    let server = named(options);
    let mut connection =
        connect(options).await.map_err(|failure| OpenError::Server { server: server.clone(), failure })?;
    let mut migrator = Migrator::with_migrations(
        migrations
            .iter()
            .map(|(version, sql)| {
                let (kind, sql) = (MigrationType::Simple, AssertSqlSafe(*sql).into_sql_str());
                Migration::new(*version, schema.to_owned().into(), kind, sql, false)
            })
            .collect(),
    );
    migrator.create_schema(schema.to_owned());
    // Its lock belongs to the session: whatever happens, it ends with the connection.
    let mut outcome = migrator.run_direct(None, &mut connection, false).await;
    if outcome.is_ok() {
        let made = sqlx::raw_sql(WITNESSES).execute(&mut connection).await;
        outcome = made.map(drop).map_err(MigrateError::from);
    }
    let _ = connection.close().await;
    outcome.map_err(|error| match error {
        MigrateError::VersionMissing(_) => OpenError::NewerSchema { server, schema: schema.to_owned() },
        other => OpenError::Schema { server, schema: schema.to_owned(), message: other.to_string() },
    })
}
