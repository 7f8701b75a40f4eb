//! What others did that somebody here must know: leases of this process that are over, ends that somebody here waits for.
//!
//! Notes say most of it at once. For the rest, waits and watches of what is worked on elsewhere, one read for many of them
//! shows how far they are.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use holdfast_storage::Failure;
use tokio::time::Instant;
use uuid::Uuid;

use super::super::Shared;
use super::super::commit::revoke;
use super::AGAIN;
use crate::domain::record::Standing;
use crate::domain::transition::{CANCELLED, DEADLINE_PASSED, LEASE_LOST};
use crate::store::{Note, Progress};

/// Notes that are taken at once.
const NOTES_MAX: usize = 500;
/// Invocations that are asked for at once.
const ASKED_MAX: usize = 1_000;
/// Between two looks.
const EVERY: Duration = Duration::from_millis(200);
/// While this process is alone, there is hardly anything to hear.
const EVERY_ALONE: Duration = Duration::from_secs(2);
/// Asking how far others are takes no more than this share of the time.
const SHARE: u32 = 20;

pub(super) async fn run(shared: Arc<Shared>) {
    let mut heard = shared.others().heard();
    let mut offsets = HashMap::new();
    let mut next_pulse = Instant::now();
    loop {
        let every = if shared.together.is_alone() { EVERY_ALONE } else { EVERY };
        let wait = match shared.hear().await {
            Ok(true) => continue,
            Ok(false) => every,
            Err(error) => {
                tracing::debug!(%error, "what other queues note cannot be read just now");
                // They may have been taken all the same.
                shared.core.lock().in_doubt = true;
                AGAIN
            }
        };
        let began = Instant::now();
        if began >= next_pulse {
            shared.pulse(&mut offsets).await;
            next_pulse = Instant::now() + every.max(began.elapsed() * SHARE);
        }
        tokio::select! {
            changed = heard.changed() => if changed.is_err() { tokio::time::sleep(wait).await },
            () = tokio::time::sleep(wait) => {}
        }
    }
}

impl Shared {
    /// Takes notes; whether there may be more.
    async fn hear(self: &Arc<Self>) -> Result<bool, Failure> {
        let notes = self.others().notes(NOTES_MAX).await?;
        let more = notes.len() >= NOTES_MAX;
        for note in notes {
            match note {
                Note::Ended(id) => self.tell_end(id).await,
                Note::LeaseOver { lease, reason: Some(reason), .. } => {
                    let mut core = self.core.lock();
                    let held = core.leases.end(lease);
                    revoke(&core, held, known(&reason));
                }
                Note::LeaseOver { id, lease, reason: None } => self.moved_away(id, lease).await,
            }
        }
        Ok(more)
    }

    /// Asks how far everything is that somebody here waits for or watches, and tells them where it went on.
    async fn pulse(self: &Arc<Self>, offsets: &mut HashMap<Uuid, u64>) {
        let (awaited, watched): (Vec<Uuid>, HashSet<Uuid>) = {
            let core = self.core.lock();
            (core.waits.ids().collect(), core.watched.keys().copied().collect())
        };
        offsets.retain(|id, _| watched.contains(id));
        let asked: Vec<Uuid> = awaited.into_iter().chain(watched).collect();
        for asked in asked.chunks(ASKED_MAX) {
            let Ok(found) = self.others().progress(asked.to_vec()).await else { return };
            for Progress { id, events, ended } in found {
                if ended && self.core.lock().waits.has(id) {
                    self.tell_end(id).await;
                } else if offsets.insert(id, events) != Some(events) {
                    self.core.lock().ring(id);
                }
            }
        }
    }

    /// Tells those who wait for an invocation's end, or watch it, if it has ended.
    pub(in crate::queue) async fn tell_end(&self, id: Uuid) {
        if self.core.lock().waits.has(id)
            && let Ok(Some(record)) = self.store.get(id, None, false).await
            && let Standing::Ended(ended) = &record.standing
        {
            self.core.lock().waits.ended(id, ended, &record.tries, &record.past_ends);
        }
        self.core.lock().ring(id);
    }
}

/// The word of ours for a reason.
fn known(reason: &str) -> &'static str {
    [CANCELLED, DEADLINE_PASSED].into_iter().find(|known| *known == reason).unwrap_or(LEASE_LOST)
}
