//! The row of a duty: its lock, and where it goes on.

use std::time::Duration;

use sqlx::PgConnection;

use crate::domain::{Seq, ShardId};
use crate::store::postgres::rows;

/// As its row names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Duty {
    History,
    Tombstones,
    Fences,
    Epochs,
}

impl Duty {
    fn name(self) -> &'static str {
        match self {
            Self::History => "history",
            Self::Tombstones => "tombstones",
            Self::Fences => "fences",
            Self::Epochs => "epochs",
        }
    }
}

/// Where a duty goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) shard: ShardId,
    pub(super) after: Seq,
}

/// Takes a duty until the end of the transaction; `None` where another has it, or where it is not due.
pub(super) async fn take(tx: &mut PgConnection, duty: Duty) -> sqlx::Result<Option<Cursor>> {
    let found = sqlx::query(include_str!("take.sql")).bind(duty.name()).fetch_optional(tx).await?;
    found.map(|row| Ok(Cursor { shard: rows::shard(&row, 0)?, after: rows::number(&row, 1)? })).transpose()
}

/// Where the round goes on.
pub(super) async fn go_on(tx: &mut PgConnection, duty: Duty, at: Cursor) -> sqlx::Result<()> {
    sqlx::query("UPDATE duties SET shard = $2, after = $3 WHERE duty = $1")
        .bind(duty.name())
        .bind(rows::shard_number(at.shard))
        .bind(rows::signed(at.after))
        .execute(tx)
        .await?;
    Ok(())
}

/// The round is over: the next begins after a rest, which is no less than ten times as long as the round was.
pub(super) async fn rest(tx: &mut PgConnection, duty: Duty, rest: Duration) -> sqlx::Result<()> {
    sqlx::query(include_str!("rest.sql")).bind(duty.name()).bind(rest.as_secs_f64()).execute(tx).await?;
    Ok(())
}
