//! Shows that this process lives, watches the others, and takes over what a dead one kept.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use holdfast_rpc::service::Stop;
use holdfast_storage::Failure;
use tokio::time::Instant;

use super::super::Shared;
use super::gone::Gone;
use super::leases::{COMPARE_MAX, MOVE_MAX};
use crate::store::{Member, WriterId};

/// Between two beats.
const EVERY: Duration = Duration::from_millis(500);
/// Others may have taken a process for dead that did not beat for so long.
const SILENT_MAX: Duration = Duration::from_secs(2);
/// How far behind a writer the tail may be before all lines are asked for instead.
const BEHIND_MAX: i64 = 4_096;
/// Types of work that nobody here asks for are let go at every so many beats.
const LET_GO_EVERY: u32 = 20;

pub(super) async fn run(shared: Arc<Shared>, stop: Stop) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut gone = Gone::default();
    let mut last = Instant::now();
    let mut beats = 0_u32;
    loop {
        ticks.tick().await;
        let members = match shared.others().beat(shared.drain_rate()).await {
            Ok(members) => members,
            Err(error) => {
                tracing::debug!(%error, "this queue cannot show that it lives just now");
                gone.forget();
                continue;
            }
        };
        let silent = last.elapsed() > SILENT_MAX;
        last = Instant::now();
        shared.meet(&members);
        let forgotten = shared.others().was_forgotten();
        if silent || forgotten || std::mem::take(&mut shared.core.lock().in_doubt) {
            shared.reconcile().await;
        }
        beats = beats.wrapping_add(1);
        if beats.is_multiple_of(LET_GO_EVERY) {
            shared.core.lock().want_only_what_is_asked();
        }
        if stop.is_cancelled() {
            continue;
        }
        let me = shared.others().writer();
        for writer in gone.look(me, &members, shared.clock.now().moment) {
            if let Err(error) = shared.take_over_from(writer).await {
                tracing::warn!(%error, writer, "what a queue that is gone kept is not taken over yet");
            }
        }
    }
}

impl Shared {
    fn drain_rate(&self) -> f64 {
        let now = self.clock.now().moment;
        self.core.lock().depths.ended_per_second(now)
    }

    fn meet(&self, members: &[Member]) {
        let me = self.others().writer();
        let living = members.iter().filter(|member| !member.left).count().max(1);
        if self.together.living.swap(living, Ordering::Relaxed) <= 1 && living > 1 {
            self.together.joined.notify_one();
        }
        let others = members.iter().filter(|member| member.writer != me);
        let elsewhere = others.clone().filter(|member| !member.left).map(|member| member.drain_rate).sum();
        let mut core = self.core.lock();
        core.depths.ends_elsewhere(elsewhere);
        let Some(window) = &mut core.window else { return };
        window.set_crowded(living > 1);
        for member in others {
            window.appeared(member.writer);
            if window.behind(member.writer, member.last_rank) > BEHIND_MAX {
                window.skip_to(member.writer, member.last_rank);
            }
        }
    }

    /// Every lease of a process that is gone gets its full time here. Several processes may do
    /// so at once: each lease is moved by one.
    async fn take_over_from(self: &Arc<Self>, writer: WriterId) -> Result<(), Failure> {
        let mut taken = 0;
        loop {
            let leases = self.others().leases_of(writer, COMPARE_MAX).await?;
            if leases.is_empty() {
                break;
            }
            let mut moved = 0;
            for leases in leases.chunks(MOVE_MAX) {
                moved += self.move_orphans(leases.to_vec(), writer).await;
            }
            if moved == 0 {
                // Another process is at it, or the store fails.
                return Ok(());
            }
            taken += moved;
        }
        self.others().bury(writer).await?;
        tracing::info!(writer, leases = taken, "a queue is gone; its leases are kept here now");
        Ok(())
    }
}
