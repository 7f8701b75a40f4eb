//! Writing: ask the lane, do what must be done first, ask again.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::FutureExt as _;
use holdfast_storage::{Class, Failure};

use super::{
    PAUSE, Postgres,
    lane::Seat,
    order::{Answer, Order},
};
use crate::{
    domain::{EpochId, Precondition, ShardId},
    failed::Failed,
    recall::{Earlier, Late, Recall, Told},
    store::Unstored,
    write::{Command, Durability, Holder, Refusal, Written, WrittenRecord},
};

/// How long a command waits for a shard that another process holds: past this the server has ended that process's
/// transaction, or something is wrong.
const PATIENCE: Duration = Duration::from_secs(15);

impl Postgres {
    /// Takes a command, or says why not. A lease that comes with it must hold its scope's fence.
    pub(super) async fn take(&self, command: &Command, holder: Option<&Holder>) -> Result<Written, Failed> {
        let started = Instant::now();
        let written = self.decide(command, holder, started).await;
        match &written {
            Ok(_) => self.count_written(command, started.elapsed()),
            Err(failed) => self.count_failed(failed),
        }
        written
    }

    async fn decide(&self, command: &Command, holder: Option<&Holder>, started: Instant) -> Result<Written, Failed> {
        let mut order = Order {
            command: Arc::new(command.clone()),
            holder: holder.map(|holder| Arc::new(holder.clone())),
            consulted: None,
        };
        let Some(shard) = order.shard() else { return Ok(durable(Vec::new())) };
        let seat = Seat::take(&self.window, command.bytes())?;
        let mut patient = false;
        loop {
            match self.lane(shard, patient).ask(order.clone(), &seat).await? {
                Answer::Taken(records) => return Ok(durable(records)),
                Answer::Repeated(records) => return Ok(self.repeated(records)),
                Answer::Consult { trails, heads } => {
                    let earlier =
                        self.reads.call(|| Box::pin(async { self.recall(shard).earlier(command, &trails).await }));
                    if let Some(earlier) = earlier.await? {
                        return Ok(self.repeated(records(&earlier)));
                    }
                    order.consulted = Some(heads);
                }
                Answer::Late { late, epoch } => return self.explain(command, shard, *late, epoch).await,
                Answer::Refused(refusal) => return Err(Failed::Refused(refusal)),
                Answer::Register => self.register_for_write(holder).await?,
                Answer::Fenced(standing) => return Err(Failed::Fenced(standing)),
                Answer::Skipped if patient => tokio::time::sleep(PAUSE).await,
                Answer::Skipped => patient = true,
                Answer::Stale(seen) => self.renew(&seen).await?,
            }
            if started.elapsed() >= PATIENCE {
                let failure = Failure::new(Class::Busy, "another process holds the record's shard");
                return Err(Failed::Store(Unstored { failure, in_doubt: false }));
            }
        }
    }

    /// Who wrote since, or that it was the command itself.
    async fn explain(
        &self,
        command: &Command,
        shard: ShardId,
        mut late: Late,
        epoch: EpochId,
    ) -> Result<Written, Failed> {
        for (write, trail) in command.writes.iter().zip(&mut late.trails) {
            self.notes.extend(epoch, shard, trail, write.presented());
        }
        let explained = self.reads.call(|| async { self.recall(shard).explain(command, late).await }.boxed());
        match explained.await? {
            Told::Before(earlier) => Ok(self.repeated(records(&earlier))),
            Told::Conflict(refusal) => Err(Failed::Refused(refusal)),
        }
    }

    fn recall(&self, shard: ShardId) -> Recall<'_> {
        Recall::new(&self.store, shard)
    }

    fn repeated(&self, records: Vec<WrittenRecord>) -> Written {
        self.metrics.repeats.increment(1);
        durable(records)
    }

    fn count_written(&self, command: &Command, took: Duration) {
        self.metrics.written(false, took);
        let blind = command.writes.iter().filter(|write| write.precondition == Precondition::Overwrite).count();
        if blind > 0 {
            self.metrics.blind_overwrites.increment(blind as u64);
        }
        if command.durability == Durability::Cached {
            self.metrics.cached_turned_durable.increment(1);
        }
    }

    fn count_failed(&self, failed: &Failed) {
        match failed {
            Failed::Refused(refusal) => match **refusal {
                Refusal::Conflict { .. } => self.metrics.conflicts.increment(1),
                Refusal::Lost { .. } => self.metrics.losses.increment(1),
                Refusal::NotThere { .. } | Refusal::LockLost { .. } => {}
            },
            Failed::Fenced(_) => self.metrics.fence_refusals.increment(1),
            _ => {}
        }
    }
}

/// There is no cache to be faster than the store: every write is stored when it is answered.
fn durable(records: Vec<WrittenRecord>) -> Written {
    Written { records, durability: Durability::Durable }
}

fn records(earlier: &[Earlier]) -> Vec<WrittenRecord> {
    earlier.iter().map(|found| (&found.note).into()).collect()
}
