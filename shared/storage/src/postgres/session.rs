//! The writer's own connection: made anew when it breaks, not more often than a server in trouble can bear.

use std::time::{Duration, Instant};

use sqlx::postgres::{PgArguments, PgConnectOptions, PgRow};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::connect;
use super::doubt::Witness;
use crate::Failure;

/// Between two tries to connect, at first.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// And at last.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long a connection that nobody uses is taken to be alive.
const TRUST: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Session {
    options: PgConnectOptions,
    connection: Option<PgConnection>,
    /// A transaction has begun on it.
    begun: bool,
    /// When it was seen alive last, at the end of a transaction.
    used: Option<Instant>,
    /// It was made since somebody last asked whether it is new.
    is_new: bool,
    pause: Duration,
    refused: Option<(Instant, Failure)>,
}

impl Session {
    pub(super) fn new(options: PgConnectOptions) -> Self {
        Self { options, connection: None, begun: false, used: None, is_new: false, pause: FIRST_PAUSE, refused: None }
    }

    /// Whether it can be used for what must not be asked twice.
    pub(super) fn is_trusted(&self) -> bool {
        self.begun || self.used.is_some_and(|used| used.elapsed() < TRUST)
    }

    /// Begins a transaction, unless one has begun. A connection that was left alone for long may have died unnoticed: nothing has
    /// been asked of it yet, so another one takes its place.
    pub(super) async fn begin(&mut self) -> Result<(), Failure> {
        if self.begun {
            return Ok(());
        }
        let was_open = self.connection.is_some();
        if let Err(failure) = self.say("BEGIN").await {
            self.forget();
            if !was_open {
                return Err(failure);
            }
            self.say("BEGIN").await.inspect_err(|_| self.forget())?;
        }
        self.begun = true;
        Ok(())
    }

    /// Whether another connection is in use than when this was asked last.
    pub(super) fn is_new(&mut self) -> bool {
        std::mem::take(&mut self.is_new)
    }

    /// Commits; where more is to be done at once, the next transaction begins on the way.
    pub(super) async fn commit(&mut self, witness: Option<Witness>, more: bool) -> Result<(), sqlx::Error> {
        let Some(connection) = &mut self.connection else { return Err(sqlx::Error::PoolClosed) };
        let commit = if more { "COMMIT AND CHAIN" } else { "COMMIT" };
        let statement = witness.map(Witness::statement).unwrap_or_default() + commit;
        // Numbers alone are put into it.
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection).await?;
        (self.begun, self.used) = (more, Some(Instant::now()));
        Ok(())
    }

    /// Stores by one statement: it is a transaction of its own, unless one has begun: that is committed after it.
    pub(super) async fn store(&mut self, (sql, arguments): (String, PgArguments)) -> Result<PgRow, sqlx::Error> {
        let Some(connection) = &mut self.connection else { return Err(sqlx::Error::PoolClosed) };
        // All that is asked goes into its arguments.
        let row = sqlx::query_with(AssertSqlSafe(sql), arguments).fetch_optional(connection).await?;
        let row = row.ok_or_else(|| sqlx::Error::Protocol("a statement that stores answers with a row".into()))?;
        if self.begun {
            self.commit(None, false).await?;
        }
        self.used = Some(Instant::now());
        Ok(row)
    }

    /// Undoes what has begun.
    pub(super) async fn roll_back(&mut self) {
        if std::mem::take(&mut self.begun) && self.say("ROLLBACK").await.is_err() {
            self.forget();
        }
    }

    /// The connection is not to be trusted any more.
    pub(super) fn forget(&mut self) {
        (self.connection, self.begun, self.used) = (None, false, None);
    }

    /// Says goodbye.
    pub(super) async fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            let _ = connection.close().await;
        }
    }

    pub(super) async fn connection(&mut self) -> Result<&mut PgConnection, Failure> {
        match &mut self.connection {
            Some(connection) => Ok(connection),
            gone => {
                if let Some((until, failure)) = &self.refused
                    && *until > Instant::now()
                {
                    return Err(failure.clone());
                }
                match connect(&self.options).await {
                    Ok(connected) => {
                        (self.pause, self.refused, self.is_new) = (FIRST_PAUSE, None, true);
                        Ok(gone.insert(connected))
                    }
                    Err(failure) => {
                        self.refused = Some((Instant::now() + self.pause, failure.clone()));
                        self.pause = LONGEST_PAUSE.min(self.pause * 2);
                        Err(failure)
                    }
                }
            }
        }
    }

    async fn say(&mut self, statement: &'static str) -> Result<(), Failure> {
        let connection = self.connection().await?;
        sqlx::raw_sql(statement).execute(connection).await?;
        Ok(())
    }
}
