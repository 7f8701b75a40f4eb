//! Follows what other processes make ready.
//!
//! It looks when it hears of something, and slowly by itself. While nobody here wants work it rests.

use std::sync::Arc;
use std::time::Duration;

use holdfast_storage::Failure;

use super::super::Shared;
use super::super::core::Commands;
use super::AGAIN;

/// Candidates of one writer that are read at once.
const TAIL_MAX: usize = 512;
/// Between two looks while a worker waits for work.
const HUNGRY: Duration = Duration::from_millis(250);
/// Between two looks while none does.
const FED: Duration = Duration::from_secs(1);

pub(super) async fn run(shared: Arc<Shared>) {
    let mut heard = shared.others().heard();
    loop {
        let hungry = shared.core.lock().demand.has_room();
        let wait = match shared.look().await {
            Ok(true) => continue,
            Ok(false) if hungry => HUNGRY,
            Ok(false) => FED,
            Err(error) => {
                tracing::debug!(%error, "the ready work of other queues cannot be followed just now");
                AGAIN
            }
        };
        tokio::select! {
            changed = heard.changed() => if changed.is_err() { tokio::time::sleep(wait).await },
            () = tokio::time::sleep(wait) => {}
        }
    }
}

impl Shared {
    /// Brings into sight what others made ready since the last look. Whether there may be more.
    pub(super) async fn look(self: &Arc<Self>) -> Result<bool, Failure> {
        let seen = {
            let core = self.core.lock();
            let Some(window) = &core.window else { return Ok(false) };
            if !window.is_wanting() {
                return Ok(false);
            }
            window.tail_from()
        };
        let found = self.others().tail(seen, TAIL_MAX).await?;
        let more = found.len() >= TAIL_MAX;
        let now = self.clock.now();
        let mut core = self.core.lock();
        for candidate in found {
            core.came(candidate, now);
        }
        let mut commands = Commands::new();
        core.dispatch(now, &mut commands);
        self.submit(&mut core, commands, now);
        Ok(more)
    }
}
