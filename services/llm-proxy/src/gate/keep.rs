//! Writes down what the next process has to know, soon after it changed and before the end.

use std::{sync::Arc, time::Duration};

use super::{Shared, desk::Unwritten};

/// How often at most.
const INTERVAL: Duration = Duration::from_secs(1);
/// Nor later than a part of the window: what is older than that, its journal may have forgotten.
const PARTS: u32 = 4;

/// Runs until the gate ends.
pub(super) async fn keep(shared: Arc<Shared>) {
    loop {
        shared.unwritten.notified().await;
        let window = shared.state.lock().pool.window();
        tokio::time::sleep(window.map_or(INTERVAL, |window| INTERVAL.min(window / PARTS))).await;
        let days = shared.flush(false);
        if !days.is_empty() {
            let written = tokio::task::spawn_blocking(move || write(&days)).await;
            debug_assert!(written.is_ok(), "writing does not panic");
        }
    }
}

pub(super) fn write(days: &[Unwritten]) {
    for (file, written) in days {
        if let Err(error) = file.write(written) {
            // The limit itself holds; only a restart would not know of these calls.
            tracing::warn!(%error, "what a day's limit holds could not be kept for the case of a restart");
        }
    }
}

impl Shared {
    /// Brings the journals up to date; what is to be written of the days. At the end it is whole, where no call is at work.
    pub(super) fn flush(&self, end: bool) -> Vec<Unwritten> {
        let super::State { pool, desks, .. } = &mut *self.state.lock();
        desks.journals().for_each(super::journal::Journal::flush);
        desks.unwritten(pool, &self.clock, end && pool.is_idle())
    }
}
