//! Asks for all lines: at a start, after what nobody told of, and now and then while a worker waits. It is apart from the
//! [tail](super::tail), which goes on however long this takes.

use std::sync::Arc;
use std::time::Duration;

use holdfast_storage::Failure;
use tokio::time::Instant;

use super::super::Shared;
use super::super::core::Commands;
use super::AGAIN;

/// Between two looks whether it is time.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// While a worker waits, all lines are asked for now and then: what was lost sight of is found so.
const EVERY: Duration = Duration::from_secs(10);
/// That seldom at least, however dear it is.
const EVERY_MAX: Duration = Duration::from_secs(300);
/// Asking for all lines, and reading them from their beginnings, takes no more than this share of the time.
const SHARE: u32 = 50;

pub(super) async fn run(shared: Arc<Shared>) {
    let mut last = Instant::now();
    let mut took = Duration::ZERO;
    loop {
        let cost = took + *shared.together.read_anew.lock();
        if shared.core.lock().demand.has_room() && last.elapsed() >= rest(cost) {
            shared.doubt();
        }
        let began = Instant::now();
        let wait = match shared.scan().await {
            Ok(true) => {
                (last, took) = (Instant::now(), began.elapsed());
                *shared.together.read_anew.lock() = Duration::ZERO;
                LOOK_EVERY
            }
            Ok(false) => LOOK_EVERY,
            Err(error) => {
                tracing::debug!(%error, "what lines there are cannot be asked just now");
                // One that took all the patience is not asked again at once.
                rest_after_failure(began.elapsed())
            }
        };
        tokio::select! {
            () = shared.together.unsure.notified(), if wait == LOOK_EVERY => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// How long it is left, for what it took.
fn rest(cost: Duration) -> Duration {
    cost.saturating_mul(SHARE).clamp(EVERY, EVERY_MAX)
}

fn rest_after_failure(took: Duration) -> Duration {
    took.saturating_mul(2).clamp(AGAIN, EVERY)
}

impl Shared {
    /// Asks for all lines, where that must be; whether it was done.
    pub(super) async fn scan(self: &Arc<Self>) -> Result<bool, Failure> {
        {
            let mut core = self.core.lock();
            let Some(window) = &mut core.window else { return Ok(false) };
            // What was seen of each writer by now is in the lines, and what comes after comes by the tail.
            if !window.is_wanting() || !window.begin_scan() {
                return Ok(false);
            }
        }
        let lines = self.others().lines().await;
        let now = self.clock.now();
        let mut core = self.core.lock();
        if let Some(window) = &mut core.window {
            window.scanned(lines.as_deref().ok());
        }
        // Types of work waited for it, whatever was found.
        let mut commands = Commands::new();
        core.dispatch(now, &mut commands);
        self.submit(&mut core, commands, now);
        lines?;
        if let Some(window) = &core.window
            && window.is_needy()
        {
            self.together.needy.notify_one();
        }
        Ok(true)
    }

    /// Something may be ready that nobody told of.
    fn doubt(&self) {
        if let Some(window) = &mut self.core.lock().window {
            window.doubt();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asking_for_all_lines_takes_a_bounded_share_of_the_time() {
        assert_eq!(rest(Duration::from_millis(3)), EVERY);
        assert_eq!(rest(Duration::from_secs(1)), Duration::from_secs(50));
        assert_eq!(rest(Duration::from_secs(60)), EVERY_MAX);
        assert_eq!(rest_after_failure(Duration::ZERO), AGAIN);
        assert_eq!(rest_after_failure(Duration::from_secs(5)), EVERY);
    }
}
