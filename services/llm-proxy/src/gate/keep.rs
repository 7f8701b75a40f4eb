//! Writes down what the next process has to know, soon after it changed and before the end.

use std::{sync::Arc, time::Duration};

use super::{Shared, State, desk::Unwritten, journal::Journal};

/// How often at most.
const INTERVAL: Duration = Duration::from_secs(1);
/// Nor later than a part of the window: what is older than that, its journal may have forgotten.
const PARTS: u32 = 4;

/// Runs until the gate ends.
pub(super) async fn keep(shared: Arc<Shared>) {
    loop {
        shared.changed.notified().await;
        let window = shared.state.lock().pool.window();
        tokio::time::sleep(window.map_or(INTERVAL, |window| INTERVAL.min(window / PARTS))).await;
        let writes = Arc::clone(&shared);
        // The file of a day is synced: that is no work for whoever carries calls.
        let _ends = tokio::task::spawn_blocking(move || writes.write_down(false)).await;
        shared.kept.notify_one();
    }
}

impl Shared {
    /// Brings the journals up to date, and the files of the days. These are whole at the end, where no call is at work.
    pub(super) fn write_down(&self, end: bool) {
        // Looked up and written under one lock, so that nothing older is written after something newer.
        let _one = self.writing.lock();
        for (file, written) in self.unwritten(end) {
            if let Err(error) = file.write(&written) {
                // The limit itself holds; only a restart would not know of these calls.
                tracing::warn!(%error, "what a day's limit holds could not be kept for the case of a restart");
            }
        }
    }

    fn unwritten(&self, end: bool) -> Vec<Unwritten> {
        let State { pool, desks, .. } = &mut *self.state.lock();
        desks.journals().for_each(Journal::flush);
        desks.unwritten(pool, &self.clock, end && pool.is_idle())
    }
}
