//! What time has done: deadlines and delays, looked for often. What ended otherwise stands in their indexes for as long as
//! somebody reads an old state, so a look begins where the one before found nothing older any more. What is accepted with a
//! deadline of before that is looked for by the process that accepted it.

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
    at: Mutex<At>,
}

#[derive(Debug, Default)]
struct At {
    whole: Option<Whole>,
    /// The earliest deadline that had passed already when it was given, until a look finds nothing there any more.
    given: Option<Micros>,
    /// How often one was given.
    times: u64,
}

#[derive(Debug, Clone, Copy)]
struct Whole {
    began: Instant,
    took: Duration,
    /// Nothing that is older was found since.
    floor: Micros,
}

/// What one look reads.
#[derive(Debug, Clone, Copy)]
struct Look {
    began: Instant,
    /// None for as far back as there is something.
    from: Option<Micros>,
    times: u64,
}

impl Looked {
    /// This process has stored a deadline: one that no look would come to any more is come back to.
    pub(super) fn given(&self, deadline: Micros) {
        let mut at = self.at.lock();
        if at.whole.is_none_or(|whole| deadline <= whole.floor.saturating_add(MARGIN)) {
            at.given = Some(at.given.map_or(deadline, |given| given.min(deadline)));
            at.times += 1;
        }
    }

    fn begin(&self) -> Look {
        let at = self.at.lock();
        let young = |whole: &Whole| whole.began.elapsed() < whole.took.saturating_mul(WHOLE_SHARE).max(WHOLE_EVERY);
        // What is looked for is later than this.
        let given = at.given.map_or(Micros::MAX, |given| given.saturating_sub(1));
        let from = at.whole.filter(young).map(|whole| whole.floor.min(given));
        Look { began: Instant::now(), from, times: at.times }
    }

    /// A look found nothing older than this.
    fn end(&self, look: Look, oldest: Micros) {
        let mut at = self.at.lock();
        if at.times == look.times && at.whole.is_none_or(|whole| oldest > whole.floor) {
            at.given = None;
        }
        let floor = oldest.saturating_sub(MARGIN);
        match (&mut at.whole, look.from) {
            (Some(whole), Some(_)) => whole.floor = floor.max(whole.floor),
            (whole, _) => *whole = Some(Whole { began: look.began, took: look.began.elapsed(), floor }),
        }
    }
}

/// What time has done by now, by the server's clock where this process's is ahead of it.
pub(super) async fn due(pool: &PgPool, looked: &Looked, now: Micros, limit: usize) -> sqlx::Result<Due> {
    let look = looked.begin();
    let query = sqlx::query(DUE).bind(now).bind(limit as i64).bind(look.from.unwrap_or(Micros::MIN)).bind(SOON);
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
    looked.end(look, oldest);
    Ok(due)
}
