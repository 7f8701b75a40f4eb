use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::load::{Caller, Pool};

/// Each submits again as soon as it is answered.
const CALLERS: usize = 64;

/// The flood, poured in.
pub(super) struct Flood {
    numbers: Vec<u64>,
    pub(super) refusals: u32,
    pub(super) took: Duration,
}

impl Flood {
    pub(super) const fn len(&self) -> usize {
        self.numbers.len()
    }

    /// What of it has not begun yet.
    pub(super) fn waiting(&self, pool: &Pool) -> usize {
        self.numbers.iter().filter(|number| pool.began(**number).is_none()).count()
    }
}

/// Submits so many, as fast as they are taken.
pub(super) async fn pour(caller: &Caller, flood: usize) -> Flood {
    let begun = Instant::now();
    let mut callers = JoinSet::new();
    for index in 0..CALLERS {
        let (caller, share) = (caller.clone(), (index..flood).step_by(CALLERS).count());
        callers.spawn(async move {
            let mut answers = Vec::with_capacity(share);
            for _ in 0..share {
                answers.push(caller.insist().await);
            }
            answers
        });
    }
    let answers = callers.join_all().await.concat();
    Flood {
        numbers: answers.iter().map(|(answer, _)| answer.number).collect(),
        refusals: answers.iter().map(|(_, refusals)| refusals).sum(),
        took: begun.elapsed(),
    }
}
