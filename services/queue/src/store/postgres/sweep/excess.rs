//! How many there are is not known before they are counted: from the newest on, a piece at a time, and not again before
//! many times as long as that took.
//!
//! What is counted stays true for as long as nothing newer goes. What this process removes for its age makes it count anew;
//! for what another one removes, an answer is off by at most as long as it is kept.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sqlx::PgPool;
use uuid::Uuid;

/// The last of a piece.
pub(in super::super) const COUNT: &str = "SELECT id FROM invocations WHERE id < $1 ORDER BY id DESC OFFSET $2 LIMIT 1";
/// As many ids are counted as cost what one row costs that is looked at.
const IDS: u64 = 32;
/// An answer is kept for so many times as long as counting took...
const KEPT: u32 = 20;
/// ... and no longer than this.
const KEPT_MAX: Duration = Duration::from_secs(300);

/// Where counting stands.
#[derive(Debug, Default)]
pub(in super::super) struct Excess {
    stand: Mutex<Stand>,
}

#[derive(Debug, Clone, Copy, Default)]
enum Stand {
    #[default]
    New,
    /// So many are newer than this one, or are it.
    Counting { oldest: Uuid, counted: u64, spent: Duration },
    /// This one and all that are older are too much; none where there is no more than what is kept.
    Counted { last: Option<Uuid>, until: Instant },
}

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// There is more to be counted.
    Counting,
    /// The newest of what is too much.
    Counted(Option<Uuid>),
}

impl Excess {
    /// There are fewer now: what was too much may be so no more. Where nothing was, nothing is.
    pub(super) fn fewer(&self) {
        let mut stand = self.stand.lock();
        if matches!(*stand, Stand::Counted { last: Some(_), .. }) {
            *stand = Stand::New;
        }
    }

    /// Counts on, or from the newest where a round begins; an answer that is young is given again.
    pub(super) async fn step(&self, pool: &PgPool, keep: u64, begins: bool, limit: usize) -> sqlx::Result<Step> {
        let (oldest, counted, spent) = match *self.stand.lock() {
            Stand::Counted { last, until } if !begins || Instant::now() < until => return Ok(Step::Counted(last)),
            Stand::Counting { oldest, counted, spent } if !begins => (oldest, counted, spent),
            _ => (Uuid::max(), 0, Duration::ZERO),
        };
        let piece = keep.saturating_add(1).saturating_sub(counted).min(IDS * limit as u64);
        let mut connection = pool.acquire().await?;
        let began = Instant::now();
        let query = sqlx::query_scalar(COUNT).bind(oldest).bind(piece.saturating_sub(1) as i64);
        let found: Option<Uuid> = query.fetch_optional(&mut *connection).await?;
        let (counted, spent) = (counted + piece, spent + began.elapsed());
        let (stand, step) = match found {
            Some(oldest) if counted <= keep => (Stand::Counting { oldest, counted, spent }, Step::Counting),
            last => {
                let until = Instant::now() + spent.saturating_mul(KEPT).min(KEPT_MAX);
                (Stand::Counted { last, until }, Step::Counted(last))
            }
        };
        *self.stand.lock() = stand;
        Ok(step)
    }
}

#[cfg(test)]
mod tests {
    use sqlx::postgres::PgPoolOptions;

    use super::*;

    fn counted(last: Option<Uuid>, until: Instant) -> Excess {
        Excess { stand: Mutex::new(Stand::Counted { last, until }) }
    }

    #[tokio::test]
    async fn a_round_counts_anew_only_when_the_answer_is_old() {
        let wait = Duration::from_millis(10);
        let nowhere = PgPoolOptions::new().acquire_timeout(wait).connect_lazy("postgres://127.0.0.1:1/none").unwrap();
        let last = Some(Uuid::max());
        let young = counted(last, Instant::now() + KEPT_MAX);
        assert_eq!(young.step(&nowhere, 5, true, 1).await.unwrap(), Step::Counted(last));
        let old = counted(last, Instant::now());
        assert_eq!(old.step(&nowhere, 5, false, 1).await.unwrap(), Step::Counted(last), "a round goes on with its own");
        old.step(&nowhere, 5, true, 1).await.expect_err("there is no server to count");
    }

    #[test]
    fn an_answer_is_forgotten_where_something_was_too_much() {
        for last in [None, Some(Uuid::max())] {
            let excess = counted(last, Instant::now() + KEPT_MAX);
            excess.fewer();
            assert_eq!(matches!(*excess.stand.lock(), Stand::New), last.is_some());
        }
    }
}
