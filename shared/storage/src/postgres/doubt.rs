//! What became of a commit whose answer was lost.
//!
//! The server says whether a transaction is still open. Whether it is stored, only its own rows say: a server that crashed
//! before the transaction reached its log gives its number to another one. So each commit leaves its number in its writer's
//! row, in the same transaction.

use std::hash::{BuildHasher, Hasher, RandomState};

use sqlx::PgConnection;

use super::TransactionId;
use crate::Failure;

/// The server's code for a transaction number that it has not given yet.
const INVALID_PARAMETER: &str = "22023";

/// What a server says of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Stored,
    Undone,
    /// Its old session has not noticed yet that it is alone; it will.
    Open,
}

/// A writer, and the number of one of its commits: what a transaction leaves, to tell later whether it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Witness {
    /// A random number.
    pub writer: i64,
    /// Rises by one with each transaction that is tried.
    pub number: i64,
}

impl Witness {
    /// A writer that nobody was before, and has committed nothing.
    pub(super) fn new() -> Self {
        // Each of these hashers has random keys, so what it makes of nothing is a random number.
        let writer = RandomState::new().build_hasher().finish().cast_signed();
        Self { writer, number: 0 }
    }

    /// What leaves it: the writer stands for the first `?`, the number for the second.
    pub const LEAVE: &str = "INSERT INTO writers (writer, number, at) VALUES (?, ?, now()) \
         ON CONFLICT (writer) DO UPDATE SET number = excluded.number, at = excluded.at";

    /// The same with its numbers, to be said just before the commit.
    pub(super) fn statement(self) -> String {
        let Self { writer, number } = self;
        Self::LEAVE.replacen('?', &writer.to_string(), 1).replacen('?', &number.to_string(), 1) + "; "
    }
}

pub(super) async fn fate(
    connection: &mut PgConnection,
    transaction: &TransactionId,
    witness: Witness,
) -> Result<Fate, Failure> {
    let status: Result<Option<String>, _> =
        sqlx::query_scalar("SELECT pg_xact_status($1::xid8)").bind(&transaction.0).fetch_one(&mut *connection).await;
    match status {
        Ok(Some(status)) if status == "in progress" => Ok(Fate::Open),
        Ok(_) => {
            let stored: Option<i64> = sqlx::query_scalar("SELECT number FROM writers WHERE writer = $1")
                .bind(witness.writer)
                .fetch_optional(connection)
                .await?;
            Ok(if stored == Some(witness.number) { Fate::Stored } else { Fate::Undone })
        }
        // A server that took over before the transaction reached it.
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(INVALID_PARAMETER) => Ok(Fate::Undone),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::{Postgres, PostgresOptions};

    /// A server that crashed gives the number of a transaction that is gone to the next one.
    #[tokio::test]
    async fn a_number_that_another_transaction_has_got_is_no_proof() {
        let server = holdfast_testkit::Postgres::start().await;
        let url = server.url();
        let options =
            PostgresOptions { url: &url, schema: "doubts", name: "doubts", reads_max: 1, lists_max: 1, duties_max: 1 };
        let mut connection = Postgres::open(options, &[]).await.unwrap().connect().await.unwrap();
        let number: String =
            sqlx::query_scalar("SELECT pg_current_xact_id()::text").fetch_one(&mut connection).await.unwrap();
        let (taken, witness) = (TransactionId(number), Witness { number: 1, ..Witness::new() });
        assert_eq!(fate(&mut connection, &taken, witness).await.unwrap(), Fate::Undone);
        sqlx::raw_sql(sqlx::AssertSqlSafe(witness.statement())).execute(&mut connection).await.unwrap();
        assert_eq!(fate(&mut connection, &taken, witness).await.unwrap(), Fate::Stored);
        let later = Witness { number: 2, ..witness };
        assert_eq!(fate(&mut connection, &taken, later).await.unwrap(), Fate::Undone);
    }
}
