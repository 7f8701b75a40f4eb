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
    /// The earliest deadline that was given since the last look began.
    fresh: Option<Micros>,
    /// The earliest that may lie further back than looks go, until one finds nothing there any more.
    given: Option<Micros>,
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
    /// What comes up later than this; none for as far back as there is something.
    from: Option<Micros>,
}

impl Looked {
    /// This process has stored a deadline. It may have passed, long enough for no look to come to it any more.
    pub(super) fn given(&self, deadline: Micros) {
        let mut at = self.at.lock();
        at.fresh = Some(at.fresh.map_or(deadline, |fresh| fresh.min(deadline)));
    }

    fn begin(&self) -> Look {
        let mut at = self.at.lock();
        at.given = at.given.into_iter().chain(at.fresh.take()).min();
        let young = |whole: &Whole| whole.began.elapsed() < whole.took.saturating_mul(WHOLE_SHARE).max(WHOLE_EVERY);
        let given = at.given.map_or(Micros::MAX, |given| given.saturating_sub(1));
        Look { began: Instant::now(), from: at.whole.filter(young).map(|whole| whole.floor.min(given)) }
    }

    /// A look found nothing older than this.
    fn end(&self, look: Look, oldest: Micros) {
        let mut at = self.at.lock();
        let floor = oldest.saturating_sub(MARGIN);
        at.given = None;
        match (at.whole, look.from) {
            (Some(whole), Some(_)) => {
                at.given = (oldest <= whole.floor).then_some(oldest);
                at.whole = Some(Whole { floor: floor.max(whole.floor), ..whole });
            }
            _ => at.whole = Some(Whole { began: look.began, took: look.began.elapsed(), floor }),
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

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Micros = 1_000 * MARGIN;

    #[test]
    fn a_deadline_that_is_given_during_a_look_is_found_by_the_next_and_until_it_is_done() {
        let looked = Looked::default();
        let whole = looked.begin();
        assert_eq!(whole.from, None);
        looked.end(whole, NOW);
        // Nobody could look for long; meanwhile something is given that has passed by now.
        let look = looked.begin();
        let (passed, later) = (NOW + MARGIN, NOW + 60 * MARGIN);
        looked.given(passed);
        looked.end(look, later);
        for _ in 0..2 {
            let look = looked.begin();
            assert_eq!(look.from, Some(passed - 1));
            looked.end(look, passed);
        }
        let look = looked.begin();
        looked.end(look, later);
        assert_eq!(looked.begin().from, Some(later - MARGIN), "it has ended, and is not walked to again");
    }

    #[test]
    fn a_look_that_fails_leaves_the_next_one_where_it_was() {
        let looked = Looked::default();
        let whole = looked.begin();
        looked.end(whole, NOW);
        looked.given(1);
        assert_eq!([looked.begin().from, looked.begin().from], [Some(0); 2]);
    }
}
