//! What became of a commit whose answer was lost.
//!
//! Only the server's own rows say whether a transaction is stored: a server that crashed before the transaction reached its log
//! gives its number to another one. So each transaction leaves its number in its writer's row, and leaves it only over a lower
//! one. Whoever asks for its fate raises the row above that number where it is not there yet. That waits for a transaction
//! that has left its own and is still open; and one that comes later, from a session that has not noticed that it is alone,
//! stores nothing any more.

use std::hash::{BuildHasher, Hasher, RandomState};

use sqlx::PgConnection;

use crate::Failure;

/// A writer, and the number of one of its commits: what a transaction leaves, to tell later whether it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Witness {
    /// A random number.
    pub writer: i64,
    /// Rises with each transaction that is tried.
    pub number: i64,
}

impl Witness {
    /// A writer that nobody was before, and has committed nothing.
    pub(super) fn new() -> Self {
        // Each of these hashers has random keys, so what it makes of nothing is a random number.
        let writer = RandomState::new().build_hasher().finish().cast_signed();
        Self { writer, number: 0 }
    }

    /// What leaves it: the writer stands for the first `?`, the number for the second. Over a number that is not lower it
    /// divides by zero, which undoes the transaction.
    pub const LEAVE: &str = "INSERT INTO writers (writer, number, at) VALUES (?, ?, now()) ON CONFLICT (writer) \
         DO UPDATE SET number = excluded.number / (writers.number < excluded.number)::integer, at = excluded.at";

    /// The same with its numbers, to be said just before the commit.
    pub(super) fn statement(self) -> String {
        let Self { writer, number } = self;
        Self::LEAVE.replacen('?', &writer.to_string(), 1).replacen('?', &number.to_string(), 1) + "; "
    }
}

/// Who asks waits for a transaction that is still open, but not for long: others wait to hear that they cannot be served.
const WAIT: &str = "SET lock_timeout = '500ms'";
const WAIT_AS_EVER: &str = "RESET lock_timeout";
const ASK: &str = "SELECT number FROM writers WHERE writer = $1";
/// Leaves `$2`, which is above the number that is asked for, unless the number below is there.
const RAISE: &str = "INSERT INTO writers (writer, number, at) VALUES ($1, $2, now()) ON CONFLICT (writer) \
     DO UPDATE SET number = greatest(writers.number, $2 - (writers.number = $2 - 1)::integer), at = excluded.at \
     RETURNING number";

/// Whether a transaction that left, or would have left, this witness is stored. If it is not, it never will be.
/// [`Class::Busy`](crate::Class::Busy) while it is open.
pub(super) async fn is_stored(connection: &mut PgConnection, witness: Witness) -> Result<bool, Failure> {
    // A server that only serves reads can say this much.
    let found: Option<i64> = sqlx::query_scalar(ASK).bind(witness.writer).fetch_optional(&mut *connection).await?;
    if found == Some(witness.number) {
        return Ok(true);
    }
    let after = witness.number + 1;
    sqlx::raw_sql(WAIT).execute(&mut *connection).await?;
    let found: i64 = sqlx::query_scalar(RAISE).bind(witness.writer).bind(after).fetch_one(&mut *connection).await?;
    sqlx::raw_sql(WAIT_AS_EVER).execute(connection).await?;
    Ok(found == witness.number)
}

#[cfg(test)]
mod tests {
    use holdfast_testkit::Postgres as Server;
    use sqlx::Connection;

    use super::*;
    use crate::postgres::{Postgres, PostgresOptions};

    const WAITS: &str = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)";

    async fn open(server: &Server) -> (PgConnection, PgConnection) {
        let url = server.url();
        let options =
            PostgresOptions { url: &url, schema: "doubts", name: "doubts", reads_max: 1, lists_max: 1, duties_max: 1 };
        let database = Postgres::open(options, &[]).await.unwrap();
        (database.connect().await.unwrap(), database.connect().await.unwrap())
    }

    async fn leave(connection: &mut PgConnection, witness: Witness) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(sqlx::AssertSqlSafe(witness.statement())).execute(connection).await.map(drop)
    }

    #[tokio::test]
    async fn what_is_stored_is_found_however_often_it_is_asked_for_and_what_is_not_is_kept_out() {
        let server = Server::start().await;
        let (mut first, mut second) = open(&server).await;
        let witness = Witness { number: 1, ..Witness::new() };
        let next = |by: i64| Witness { number: 1 + by, ..witness };
        leave(&mut first, witness).await.unwrap();
        for _ in 0..2 {
            assert!(is_stored(&mut second, witness).await.unwrap());
        }
        leave(&mut first, next(1)).await.unwrap();
        assert!(!is_stored(&mut second, next(2)).await.unwrap());
        // What was on its way meanwhile comes too late.
        let late = leave(&mut first, next(2)).await.unwrap_err();
        assert_eq!(late.as_database_error().and_then(|error| error.code()).as_deref(), Some("22012"), "{late}");
        assert!(!is_stored(&mut second, next(2)).await.unwrap());
        // And so it is with the first of a writer.
        let other = Witness { number: 1, ..Witness::new() };
        assert!(!is_stored(&mut second, other).await.unwrap());
        assert!(leave(&mut first, other).await.is_err());
    }

    #[tokio::test]
    async fn nothing_is_said_of_a_transaction_that_is_still_open() {
        let server = Server::start().await;
        for (number, kept) in [(1, true), (2, true), (3, false)] {
            let (mut first, mut second) = open(&server).await;
            let witness = Witness { writer: 7, number };
            let mut transaction = first.begin().await.unwrap();
            leave(&mut transaction, witness).await.unwrap();
            let mut asked = Box::pin(is_stored(&mut second, witness));
            let waits = async { while server.query(WAITS).await != "t" {} };
            tokio::select! {
                answer = &mut asked => panic!("{answer:?}, and it is open"),
                () = waits => {}
            }
            if kept {
                transaction.commit().await.unwrap();
            } else {
                transaction.rollback().await.unwrap();
            }
            assert_eq!(asked.await.unwrap(), kept);
        }
    }
}
