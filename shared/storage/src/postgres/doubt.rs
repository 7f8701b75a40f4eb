//! What became of a commit whose answer was lost.

use sqlx::PgConnection;

use super::writer::TransactionId;
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

pub(super) async fn fate(connection: &mut PgConnection, transaction: &TransactionId) -> Result<Fate, Failure> {
    let status: Result<Option<String>, _> =
        sqlx::query_scalar("SELECT pg_xact_status($1::xid8)").bind(&transaction.0).fetch_one(connection).await;
    match status {
        Ok(Some(status)) if status == "committed" => Ok(Fate::Stored),
        Ok(Some(status)) if status == "in progress" => Ok(Fate::Open),
        Ok(_) => Ok(Fate::Undone),
        // A server that took over before the transaction reached it.
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(INVALID_PARAMETER) => Ok(Fate::Undone),
        Err(error) => Err(error.into()),
    }
}
