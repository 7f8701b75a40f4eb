//! Follows what other processes make ready, and asks for all lines where that is not enough.
//!
//! It looks when it hears of something, and slowly by itself. While nobody here wants work it rests.

use std::sync::Arc;
use std::time::Duration;

use holdfast_storage::Failure;
use tokio::time::Instant;

use super::super::Shared;
use super::super::core::Commands;
use super::AGAIN;

/// Candidates of one writer that are read at once.
const TAIL_MAX: usize = 512;
/// Between two looks while a worker waits for work.
const HUNGRY: Duration = Duration::from_millis(250);
/// Between two looks while none does.
const FED: Duration = Duration::from_secs(1);
/// While a worker waits, all lines are asked for now and then: what was lost sight of is found so.
const SCAN_EVERY: Duration = Duration::from_secs(10);
/// Asking for all lines takes no more than this share of the time.
const SCAN_SHARE: u32 = 50;

pub(super) async fn run(shared: Arc<Shared>) {
    let mut heard = shared.others().heard();
    let mut next_scan = Instant::now() + SCAN_EVERY;
    loop {
        let hungry = shared.core.lock().demand.has_room();
        if hungry && Instant::now() >= next_scan {
            shared.doubt();
        }
        let began = Instant::now();
        let wait = match shared.look().await {
            Ok(true) => {
                let took = began.elapsed();
                next_scan = Instant::now() + SCAN_EVERY.max(took * SCAN_SHARE);
                continue;
            }
            Ok(false) if hungry => HUNGRY,
            Ok(false) => FED,
            Err(error) => {
                tracing::debug!(%error, "the ready work of other queues cannot be followed just now");
                AGAIN
            }
        };
        tokio::select! {
            changed = heard.changed() => if changed.is_err() { tokio::time::sleep(wait).await },
            () = shared.together.unsure.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

impl Shared {
    /// Brings into sight what others made ready since the last look. Whether there may be more.
    pub(super) async fn look(self: &Arc<Self>) -> Result<bool, Failure> {
        let (scan, seen) = {
            let mut core = self.core.lock();
            let Some(window) = &mut core.window else { return Ok(false) };
            if !window.is_wanting() {
                return Ok(false);
            }
            // How far the tail is must be known before all lines are asked for.
            (window.begin_scan(), window.tail_from())
        };
        if scan {
            let lines = self.others().lines().await;
            let mut core = self.core.lock();
            if let Some(window) = &mut core.window {
                window.scanned(lines.as_deref().ok());
            }
            drop(core);
            lines?;
            self.attend();
        }
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

    /// Something may be ready that nobody told of.
    fn doubt(&self) {
        if let Some(window) = &mut self.core.lock().window {
            window.doubt();
        }
    }

    /// Wakes the duties for which there is something.
    fn attend(&self) {
        let core = self.core.lock();
        if let Some(window) = &core.window {
            self.together.look_after(window, core.soonest);
        }
    }
}
