//! The end of the service: everything acknowledged is stored, and the store knows that it is.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::{error, info};

use super::Embedded;

/// How long a drain tries to store what a failing disk does not take.
const GIVING_UP: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_millis(200);

impl Embedded {
    /// Stores everything, clears the dirty marks, and ends the flusher. No call may be under way.
    pub(super) async fn end(&self) {
        let until = Instant::now() + GIVING_UP;
        while !self.settle_all().await {
            if Instant::now() >= until {
                let dirty = self.decks.shared.window.dirty();
                error!(writes = dirty.writes, bytes = dirty.bytes, "ending without storing these CACHED writes");
                break;
            }
            sleep(RETRY).await;
        }
        let flusher = self.flusher.lock().take();
        // Ends the thread; it has nothing in hand any more.
        let _ = tokio::task::spawn_blocking(move || drop(flusher)).await;
        info!("the store is closed");
    }

    /// Stores all logs and cleans all marks; whether that is done.
    async fn settle_all(&self) -> bool {
        let mut settled = true;
        let barriers: Vec<_> = self.decks.shards.iter().filter_map(|shard| shard.barrier(|_| true)).collect();
        for stored in barriers {
            settled &= matches!(stored.await, Ok(Ok(())));
        }
        let marks: Vec<_> = self.decks.shards.iter().filter_map(|shard| shard.clean(Instant::now())).collect();
        for cleaned in marks {
            settled &= matches!(cleaned.await, Ok(Ok(())));
        }
        settled && self.decks.shared.window.waiting().writes == 0
    }
}
