//! What is ready, how much there is.

use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row};

use super::super::{Candidate, Count, Line, ReadyKey, WriterId};
use super::rows;

/// What other writers made ready after these keys.
pub(super) async fn tail(
    pool: &PgPool,
    own: WriterId,
    seen: Vec<ReadyKey>,
    limit: usize,
) -> sqlx::Result<Vec<Candidate>> {
    let (writers, ranks) = keys(&seen);
    let found = sqlx::query(TAIL).bind(writers).bind(ranks).bind(limit as i64).bind(own).fetch_all(pool).await?;
    found.iter().map(candidate).collect()
}

/// What is ready in a line after these keys.
pub(super) async fn line(
    pool: &PgPool,
    line: Line,
    after: Vec<ReadyKey>,
    limit: usize,
) -> sqlx::Result<Vec<Candidate>> {
    let (writers, ranks) = keys(&after);
    let query = sqlx::query(LINE).bind(writers).bind(ranks).bind(limit as i64);
    let found = query.bind(line.agent).bind(line.tenant).bind(line.priority).fetch_all(pool).await?;
    found.iter().map(candidate).collect()
}

/// All lines that have something ready: from one to the next by the index, whatever stands in them.
pub(super) async fn lines(pool: &PgPool) -> sqlx::Result<Vec<Line>> {
    let found = sqlx::query(LINES).fetch_all(pool).await?;
    found
        .iter()
        .map(|row| Ok(Line { agent: row.try_get(0)?, tenant: row.try_get(1)?, priority: row.try_get(2)? }))
        .collect()
}

/// How much there is of everything.
pub(super) async fn counts(pool: &PgPool) -> sqlx::Result<Vec<Count>> {
    let found = sqlx::query(include_str!("counts.sql")).fetch_all(pool).await?;
    found
        .iter()
        .map(|row| {
            Ok(Count {
                agent: row.try_get(0)?,
                tenant: row.try_get(1)?,
                queued: rows::number(row, 2)?,
                bytes: rows::number(row, 3)?,
                leased: rows::number(row, 4)?,
                oldest: row.try_get(5)?,
            })
        })
        .collect()
}

pub(super) const TAIL: &str = include_str!("tail.sql");
pub(super) const LINE: &str = include_str!("line.sql");
pub(super) const LINES: &str = include_str!("lines.sql");

fn keys(keys: &[ReadyKey]) -> (Vec<WriterId>, Vec<i64>) {
    keys.iter().map(|key| (key.writer, key.rank)).unzip()
}

fn candidate(row: &PgRow) -> sqlx::Result<Candidate> {
    Ok(Candidate {
        key: ReadyKey { writer: row.try_get(0)?, rank: row.try_get(1)? },
        id: row.try_get(2)?,
        ready_at: row.try_get(3)?,
        accepted_at: row.try_get(4)?,
        bytes: rows::number(row, 5)? as usize,
        line: Line { priority: row.try_get(6)?, agent: row.try_get(7)?, tenant: row.try_get(8)? },
    })
}
