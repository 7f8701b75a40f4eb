//! Duties that the processes of one database do for all of them. A duty has a row: whoever gets its lock at once does a piece
//! of it within that transaction, and writes down where the next one goes on and when. So one process at a time is at it, a
//! dead one holds nobody up, and several do not do it several times over.

mod duty;
mod slow;
mod tombstones;

use std::time::Duration;

use holdfast_rpc::{service::Stop, time::now_micros};
use holdfast_storage::Failure;
use tokio::time::sleep;
use tracing::warn;

use super::Store;
use crate::config::Keep;
use crate::domain::Micros;

pub use slow::{fold_epochs, forget_fences, sweep_history};
pub use tombstones::forget_tombstones;

/// Rows of the history that one transaction looks at: a few milliseconds of a shard's lock.
const ROWS: usize = 1_000;
/// Time for others between two pieces of a duty.
const PACE: Duration = Duration::from_millis(20);
/// How often a duty is looked at that is not due, or that another process is at.
const TICK: Duration = Duration::from_secs(5);
/// Between two rounds of a duty.
const REST: Duration = Duration::from_secs(60);

/// What a piece of a duty came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// It is not due, or another process is at it.
    NotNow,
    /// So much was removed, and there is more to look at.
    More(usize),
    /// So much was removed, and the round is over.
    Done(usize),
}

/// Does the duties until it is told to stop. `settles`: how long what a process knows about who decides is trusted, at most.
pub async fn run(store: Store, keep: Keep, settles: Duration, stop: Stop) {
    let age = |age: Duration| horizon(now_micros(), age);
    tokio::join!(
        again_and_again(&stop, "the history cannot be swept", || sweep_history(
            &store,
            keep.editions,
            age(*keep.history),
            ROWS
        )),
        again_and_again(&stop, "old fences cannot be forgotten", || forget_fences(&store, age(*keep.fences), settles)),
        again_and_again(&stop, "epochs cannot be folded", || fold_epochs(&store, age(*keep.lost_epochs))),
        again_and_again(&stop, "tombstones cannot be forgotten", || forget_tombstones(
            &store,
            age(*keep.tombstones),
            settles
        )),
    );
}

async fn again_and_again<F: Future<Output = Result<Piece, Failure>>>(
    stop: &Stop,
    trouble: &'static str,
    mut piece: impl FnMut() -> F,
) {
    loop {
        let piece = async {
            let pause = match piece().await {
                Ok(Piece::More(_)) => PACE,
                Ok(Piece::NotNow | Piece::Done(_)) => TICK,
                Err(failure) => {
                    warn!(error = %failure, "{trouble}");
                    TICK
                }
            };
            sleep(pause).await;
        };
        if stop.run_until_cancelled(piece).await.is_none() {
            return;
        }
    }
}

fn horizon(now: Micros, age: Duration) -> Micros {
    now.saturating_sub(Micros::try_from(age.as_micros()).unwrap_or(Micros::MAX))
}
