//! How many there are is not known before they are counted: from the newest on, a piece at a time, and not again before
//! many times as long as that took.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sqlx::PgPool;
use uuid::Uuid;

/// The last of a piece.
pub(in super::super) const COUNT: &str = "SELECT id FROM invocations WHERE id < $1 ORDER BY id DESC OFFSET $2 LIMIT 1";
/// As many ids are counted as cost what one row costs that is looked at.
const IDS: u64 = 32;
/// Counting takes no more than this share of the time.
const SHARE: u32 = 20;

/// The newest of what is too much: this one and all that are older may go.
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
    /// None where there is no more than what is kept.
    Counted { last: Option<Uuid>, until: Instant },
}

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// There is more to be counted.
    Goes,
    /// The newest of what is too much.
    Found(Option<Uuid>),
}

impl Excess {
    /// Counts on, or from the newest where a round begins; an answer that is young is given again.
    pub(super) async fn step(&self, pool: &PgPool, keep: u64, begins: bool, limit: usize) -> sqlx::Result<Step> {
        let (oldest, counted, spent) = match *self.stand.lock() {
            Stand::Counted { last, until } if !begins || Instant::now() < until => return Ok(Step::Found(last)),
            Stand::Counting { oldest, counted, spent } if !begins => (oldest, counted, spent),
            _ => (Uuid::max(), 0, Duration::ZERO),
        };
        let piece = keep.saturating_add(1).saturating_sub(counted).min(IDS * limit as u64);
        let began = Instant::now();
        let query = sqlx::query_scalar(COUNT).bind(oldest).bind(piece.saturating_sub(1) as i64);
        let found: Option<Uuid> = query.fetch_optional(pool).await?;
        let (counted, spent) = (counted + piece, spent + began.elapsed());
        let (stand, step) = match found {
            Some(oldest) if counted <= keep => (Stand::Counting { oldest, counted, spent }, Step::Goes),
            last => (Stand::Counted { last, until: Instant::now() + spent * SHARE }, Step::Found(last)),
        };
        *self.stand.lock() = stand;
        Ok(step)
    }
}
