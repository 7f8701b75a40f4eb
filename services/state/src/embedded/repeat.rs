//! What the history says to a write that came too late: its first answer, where it is a repeat, or who wrote since.

use std::sync::Arc;

use super::{Embedded, writes::settled};
use crate::failed::Failed;
use crate::{
    embedded::shard::Shard,
    recall::{Earlier, Late, Recall, Told, TrailStart},
    write::{Command, Durability, Written},
};

impl Embedded {
    /// The first answer of a command that was taken before; `None` where none of its writes is in the history.
    pub(super) async fn first_answer(
        &self,
        shard: &Arc<Shard>,
        command: &Command,
        trails: &[TrailStart],
    ) -> Result<Option<Written>, Failed> {
        match self.recall(shard).earlier(command, trails).await? {
            Some(earlier) => self.answer_again(shard, command, earlier).await.map(Some),
            None => Ok(None),
        }
    }

    /// Answers a command whose record has moved on.
    pub(super) async fn explain(&self, shard: &Arc<Shard>, command: &Command, late: Late) -> Result<Written, Failed> {
        match self.recall(shard).explain(command, late).await? {
            Told::Before(earlier) => self.answer_again(shard, command, earlier).await,
            Told::Conflict(refusal) => Err(Failed::Refused(refusal)),
        }
    }

    fn recall(&self, shard: &Shard) -> Recall<'_> {
        Recall::new(&*self.shelf, shard.id())
    }

    async fn answer_again(
        &self,
        shard: &Arc<Shard>,
        command: &Command,
        earlier: Vec<Earlier>,
    ) -> Result<Written, Failed> {
        let mut stored = earlier.iter().all(|found| found.stored);
        if !stored && command.durability == Durability::Durable {
            if let Some(barrier) = shard.barrier(|_| true) {
                settled(barrier, true).await?;
            }
            stored = true;
        }
        self.decks.metrics.repeats.increment(1);
        Ok(Written {
            records: earlier.iter().map(|found| (&found.note).into()).collect(),
            durability: if stored { Durability::Durable } else { Durability::Cached },
        })
    }
}
