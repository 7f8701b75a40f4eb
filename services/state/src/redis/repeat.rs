//! What the history says to a command that came too late, or that may have been taken before.

use std::sync::Arc;

use super::{
    engine::{Engine, Halt},
    judge::Known,
};
use crate::{
    domain::{EpochId, ShardId},
    failed::Failed,
    recall::{Earlier, Late, Recall, Told, TrailStart},
    write::{Command, Durability, Written},
};

impl Engine {
    /// Waits until everything about these records is stored, hidden or visible; whether there was anything.
    pub(super) async fn settle_all(&self, epoch: EpochId, shard: ShardId, known: &[Known]) -> Result<bool, Halt> {
        let newest = known.iter().filter_map(|known| known.newest().map(|edition| edition.seq)).max();
        let hidden = known.iter().any(|known| known.tip.is_some());
        if let Some(newest) = newest
            && (hidden || self.is_unstored(epoch, shard, newest).await?)
        {
            self.until_stored(epoch, shard, newest).await?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Whether a place of the log may not be stored yet.
    async fn is_unstored(&self, epoch: EpochId, shard: ShardId, seq: u64) -> Result<bool, Halt> {
        if self.desk(shard).stored(epoch) >= seq {
            return Ok(false);
        }
        let standing = self.place.standing(shard, epoch).await.map_err(|trouble| self.halted(epoch, trouble))?;
        self.desk(shard).reach(epoch, standing.stored);
        Ok(standing.stored < seq)
    }

    /// The first answer of a command that was taken before. Everything about its records is stored.
    pub(super) async fn first_answer(
        &self,
        shard: ShardId,
        command: &Command,
        known: &[Known],
    ) -> Result<Option<Written>, Halt> {
        let trails = self.trails(command, known).await?;
        let earlier = Recall::new(&*self.shelf, shard).earlier(command, &trails).await?;
        Ok(earlier.map(|earlier| self.answer_again(&earlier)))
    }

    /// Answers a command whose record has moved on.
    pub(super) async fn explain(
        self: &Arc<Self>,
        epoch: EpochId,
        shard: ShardId,
        command: &Command,
        known: &[Known],
        mut late: Late,
    ) -> Result<Written, Halt> {
        let visible = known.iter().filter_map(|known| known.visible.as_ref().map(|edition| edition.seq)).max();
        if let Some(visible) = visible
            && self.is_unstored(epoch, shard, visible).await?
        {
            self.until_stored(epoch, shard, visible).await?;
        }
        late.trails = self.trails(command, known).await?;
        match Recall::new(&*self.shelf, shard).explain(command, late).await? {
            Told::Before(earlier) => Ok(self.answer_again(&earlier)),
            Told::Conflict(refusal) => Err(Failed::Refused(refusal).into()),
        }
    }

    /// Where the histories of a command's records start. What was decided in the place has no number there.
    async fn trails(&self, command: &Command, known: &[Known]) -> Result<Vec<TrailStart>, Halt> {
        let mut trails: Vec<_> = known.iter().map(Known::trail).collect();
        let unnumbered: Vec<_> =
            (0..trails.len()).filter(|at| trails[*at].from > 0 && trails[*at].record == 0).collect();
        if unnumbered.is_empty() {
            return Ok(trails);
        }
        let addresses = unnumbered.iter().map(|at| command.writes[*at].address.clone()).collect();
        let stored = self.shelf.editions(addresses).await?;
        for (at, edition) in unnumbered.into_iter().zip(stored) {
            trails[at].record = edition.map_or(0, |edition| edition.record);
        }
        Ok(trails)
    }

    fn answer_again(&self, earlier: &[Earlier]) -> Written {
        self.tally.calls.repeats.increment(1);
        let records = earlier.iter().map(|found| (&found.note).into()).collect();
        Written { records, durability: Durability::Durable }
    }
}
