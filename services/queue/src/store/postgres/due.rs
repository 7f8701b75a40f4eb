//! What time has done: deadlines and delays, looked for often. What ended otherwise stands in their indexes for as long as
//! somebody reads an old state, so a look begins where the one before found nothing older any more.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sqlx::{PgPool, Row};

use super::super::Due;
use crate::domain::time::Micros;

pub(super) const DUE: &str = include_str!("due.sql");

/// What comes up later than this is found in time by another look.
const SOON: Micros = 1_000_000;
/// How far a look goes back behind the one before: a commit, or a clock, may be late by so much.
const MARGIN: Micros = 10_000_000;
/// One look in so long goes back as far as there is something.
const WHOLE_EVERY: Duration = Duration::from_secs(60);
/// Such looks take no more than this share of the time.
const WHOLE_SHARE: u32 = 50;

/// Where the next look begins.
#[derive(Debug, Default)]
pub(super) struct Looked {
    at: Mutex<Option<Whole>>,
}

#[derive(Debug, Clone, Copy)]
struct Whole {
    began: Instant,
    took: Duration,
    /// Nothing that is older was found since.
    floor: Micros,
}

impl Looked {
    /// None where it must be as far back as there is something.
    fn floor(&self) -> Option<Micros> {
        let whole = (*self.at.lock())?;
        let rest = whole.took.saturating_mul(WHOLE_SHARE).max(WHOLE_EVERY);
        (whole.began.elapsed() < rest).then_some(whole.floor)
    }

    /// A look found nothing older than this.
    fn found(&self, from: Option<Micros>, began: Instant, oldest: Micros) {
        let mut at = self.at.lock();
        let floor = oldest.saturating_sub(MARGIN);
        match (&mut *at, from) {
            (Some(whole), Some(_)) => whole.floor = floor.max(whole.floor),
            (at, _) => *at = Some(Whole { began, took: began.elapsed(), floor }),
        }
    }
}

/// What time has done by now, by the server's clock where this process's is ahead of it.
pub(super) async fn due(pool: &PgPool, looked: &Looked, now: Micros, limit: usize) -> sqlx::Result<Due> {
    let (from, began) = (looked.floor(), Instant::now());
    let query = sqlx::query(DUE).bind(now).bind(limit as i64).bind(from.unwrap_or(Micros::MIN)).bind(SOON);
    let mut due = Due::default();
    let mut oldest = Micros::MAX;
    for row in &query.fetch_all(pool).await? {
        let at: Micros = row.try_get(2)?;
        match row.try_get::<i32, _>(0)? {
            0 => {}
            1 => due.expired.push(row.try_get(1)?),
            2 => due.delayed.push(row.try_get(1)?),
            _ => {
                due.next = Some(due.next.map_or(at, |next| next.min(at)));
                continue;
            }
        }
        // What is found may be found again: whoever asked may fail at it.
        oldest = at.min(oldest);
    }
    looked.found(from, began, oldest);
    Ok(due)
}
