//! What has had its time is removed by the server itself, in small pieces, oldest ids first; where a whole day is old, its
//! partitions are dropped, which leaves nothing to vacuum.

mod days;
pub(super) mod excess;

use sqlx::{AssertSqlSafe, PgPool, Row};
use uuid::Uuid;

use self::excess::{Excess, Step};
use super::super::{Litter, Sweep, Swept};
use super::partitions;
use crate::domain::time::Micros;

/// Removes one piece.
pub(super) async fn sweep(pool: &PgPool, excess: &Excess, sweep: Sweep) -> sqlx::Result<Swept> {
    match sweep.litter {
        Litter::Invocations => {
            let dropped = match sweep.from {
                None => {
                    // Retention comes by often enough for the days that are to come, too.
                    partitions::make_ahead(pool).await?;
                    days::drop_old(pool, sweep.before).await?
                }
                Some(_) => 0,
            };
            let swept = piece(pool, &sweep, "invocations", include_str!("delete_invocations.sql"), None).await?;
            let removed = swept.removed + dropped;
            if removed > 0 {
                excess.fewer();
            }
            Ok(Swept { removed, ..swept })
        }
        Litter::Excess { keep } => match excess.step(pool, keep, sweep.from.is_none(), sweep.limit).await? {
            Step::Counting => Ok(Swept { next: Some(0), ..Swept::default() }),
            Step::Counted(None) => Ok(Swept::default()),
            Step::Counted(last) => {
                piece(pool, &sweep, "invocations", include_str!("delete_invocations.sql"), last).await
            }
        },
        Litter::Reports => piece(pool, &sweep, "reports", include_str!("delete_reports.sql"), None).await,
        Litter::Keys => piece(pool, &sweep, "idempotency_keys", include_str!("delete_keys.sql"), None).await,
        Litter::Sessions => sessions(pool, &sweep).await,
    }
}

/// Goes on from where the piece before ended, which an id's time says, over as many rows as it may look at and those of
/// the same millisecond.
async fn piece(
    pool: &PgPool,
    sweep: &Sweep,
    table: &str,
    delete: &'static str,
    last: Option<Uuid>,
) -> sqlx::Result<Swept> {
    let from = from_millis(sweep.from.unwrap_or(0));
    let sql = format!("SELECT id FROM {table} WHERE id >= $1 ORDER BY id OFFSET $2 LIMIT 1");
    let end: Option<Uuid> = sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(from)
        .bind(sweep.limit.saturating_sub(1) as i64)
        .fetch_optional(pool)
        .await?;
    let next = end.map(|end| millis(end) + 1);
    let until = next.map_or(Uuid::max(), from_millis);
    let past_last = last.is_some_and(|last| last < until);
    let until = if past_last { after(last.unwrap_or(until)) } else { until };
    let row = sqlx::query(delete).bind(from).bind(until).bind(sweep.before).fetch_one(pool).await?;
    let removed = row.try_get::<i64, _>(0)?.unsigned_abs();
    let too_young = past_last || next.is_none() || is_too_young(pool, until, sweep.before).await?;
    Ok(Swept { removed, next: next.filter(|_| !too_young), ..Swept::default() })
}

/// Whether what comes next was accepted too late for anything of it to be old: what ended before a time was accepted
/// before it.
async fn is_too_young(pool: &PgPool, from: Uuid, before: Micros) -> sqlx::Result<bool> {
    let accepted: Option<Micros> =
        sqlx::query_scalar("SELECT accepted_at FROM invocations WHERE id >= $1 ORDER BY id LIMIT 1")
            .bind(from)
            .fetch_optional(pool)
            .await?;
    Ok(accepted.is_some_and(|accepted| accepted >= before))
}

/// A fence is the time at which it was given, or a little later.
async fn sessions(pool: &PgPool, sweep: &Sweep) -> sqlx::Result<Swept> {
    let from = sweep.from.unwrap_or(-1);
    let next: Option<i64> =
        sqlx::query_scalar("SELECT session FROM sessions WHERE session > $1 ORDER BY session OFFSET $2 LIMIT 1")
            .bind(from)
            .bind(sweep.limit.saturating_sub(1) as i64)
            .fetch_optional(pool)
            .await?;
    let gone =
        sqlx::query("DELETE FROM sessions WHERE session > $1 AND session <= $2 AND head = next_order AND fence < $3")
            .bind(from)
            .bind(next.unwrap_or(i64::MAX))
            .bind(sweep.before)
            .execute(pool)
            .await?;
    Ok(Swept { removed: gone.rows_affected(), next, ..Swept::default() })
}

fn millis(id: Uuid) -> i64 {
    (id.as_u128() >> 80) as i64
}

fn from_millis(millis: i64) -> Uuid {
    Uuid::from_u128(u128::from(millis.unsigned_abs()) << 80)
}

fn after(id: Uuid) -> Uuid {
    Uuid::from_u128(id.as_u128().saturating_add(1))
}
