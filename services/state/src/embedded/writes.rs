//! Writing: decide, wait for what must be known first, decide again.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{Embedded, reads::Pins};
use crate::failed::Failed;
use crate::{
    domain::Precondition,
    embedded::fences::Check,
    embedded::shard::{Claim, Decision, Shard, Stored},
    write::{Command, Durability, Holder, Refusal, Written},
};

/// When to come back to a log that is full: it empties within a few flushes.
const LOG_RETRY_AFTER: Duration = Duration::from_millis(100);

/// What one attempt at a command meets.
enum Attempt {
    Decided(Decision),
    LoadFence,
    Register,
}

impl Embedded {
    /// Takes a command, or says why not. A lease that comes with it must hold its scope's fence.
    pub(super) async fn take(&self, command: &Command, holder: Option<&Holder>) -> Result<Written, Failed> {
        let started = Instant::now();
        let written = self.decide(command, holder).await;
        match &written {
            Ok(written) => self.count_written(command, written, started.elapsed()),
            Err(failed) => self.count_failed(failed),
        }
        written
    }

    async fn decide(&self, command: &Command, holder: Option<&Holder>) -> Result<Written, Failed> {
        let Some(first) = command.writes.first() else {
            return Ok(Written { records: Vec::new(), durability: command.durability });
        };
        let shard = &self.decks.shards[first.address.shard().index()];
        let mut claim = None;
        let mut pins: Option<Pins<'_>> = None;
        loop {
            match self.attempt(shard, command, holder, &mut claim)? {
                Attempt::LoadFence => self.load_fence(holder).await?,
                Attempt::Register => self.register_for_write(holder).await?,
                Attempt::Decided(decision) => match decision {
                    Decision::Acknowledged(editions) => return Ok(written(&editions, Durability::Cached)),
                    Decision::Pending(editions, stored) => {
                        settled(stored, true).await?;
                        return Ok(written(&editions, Durability::Durable));
                    }
                    Decision::Load(missing) => {
                        // The old pins go only once the new ones hold.
                        let loaded = self.load(shard, missing).await?;
                        pins.get_or_insert_with(|| Pins::none(shard)).extend(loaded);
                    }
                    Decision::Wait(stored) => settled(stored, false).await?,
                    // A claim that ends by any way is a reason to look again.
                    Decision::Claimed(released) => drop(released.await),
                    Decision::Check(claimed, trails) => {
                        if let Some(first_answer) = self.first_answer(shard, command, &trails).await? {
                            return Ok(first_answer);
                        }
                        claim = Some(claimed);
                    }
                    Decision::Late(late) => return self.explain(shard, command, *late).await,
                    Decision::Refused(refusal) => return Err(Failed::Refused(refusal)),
                    Decision::Full => return Err(Failed::Full { retry_after: LOG_RETRY_AFTER }),
                },
            }
        }
    }

    /// The fence is held while the command is decided and put into the log.
    fn attempt(
        &self,
        shard: &Arc<Shard>,
        command: &Command,
        holder: Option<&Holder>,
        claim: &mut Option<Claim>,
    ) -> Result<Attempt, Failed> {
        let _held = match holder.map(|holder| self.decks.fences.check(holder)) {
            None => None,
            Some(Check::Holds(held)) => Some(held),
            Some(Check::Load) => return Ok(Attempt::LoadFence),
            Some(Check::Register) => return Ok(Attempt::Register),
            Some(Check::Refused(standing)) => return Err(Failed::Fenced(standing)),
        };
        Ok(Attempt::Decided(shard.decide(command, claim)))
    }

    fn count_written(&self, command: &Command, written: &Written, took: Duration) {
        let metrics = &self.decks.metrics;
        let cached = written.durability == Durability::Cached;
        metrics.written(cached, took);
        let blind = command.writes.iter().filter(|write| write.precondition == Precondition::Overwrite).count();
        if blind > 0 {
            metrics.blind_overwrites.increment(blind as u64);
        }
        if command.durability == Durability::Cached && !cached {
            metrics.cached_turned_durable.increment(1);
        }
    }

    fn count_failed(&self, failed: &Failed) {
        let metrics = &self.decks.metrics;
        match failed {
            Failed::Refused(refusal) => match **refusal {
                Refusal::Conflict { .. } => metrics.conflicts.increment(1),
                Refusal::Lost { .. } => metrics.losses.increment(1),
                Refusal::NotThere { .. } | Refusal::LockLost { .. } => {}
            },
            Failed::Fenced(_) => metrics.fence_refusals.increment(1),
            _ => {}
        }
    }

    /// Whether the last flush was stored.
    pub fn is_healthy(&self) -> bool {
        self.decks.shared.healthy.load(Relaxed)
    }
}

/// What the store said; `own`: about the caller's own write.
pub(super) async fn settled(stored: oneshot::Receiver<Stored>, own: bool) -> Result<(), Failed> {
    match stored.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(mut unstored)) => {
            // Another's doubtful write is no doubt about this one, which was not decided.
            unstored.in_doubt &= own;
            Err(Failed::Store(unstored))
        }
        Err(_) => Err(Failed::Closed { in_doubt: own }),
    }
}

fn written(editions: &[Arc<crate::domain::Edition>], durability: Durability) -> Written {
    Written { records: editions.iter().map(|edition| (&**edition).into()).collect(), durability }
}
