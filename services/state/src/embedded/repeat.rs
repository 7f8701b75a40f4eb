//! What the history says to a write that came too late: its first answer, where it is a repeat, or who wrote since.

use std::sync::Arc;

use uuid::Uuid;

use super::{Embedded, writes::settled};
use crate::failed::Failed;
use crate::{
    domain::{Note, Precondition, Trail, TrailEnd, Vector},
    embedded::shard::{Late, Shard, TrailStart},
    store::TrailQuery,
    write::{Command, Durability, Refusal, Write, Written},
};

/// How far a walk goes back.
const WALK_MAX: usize = 10_000;
/// Writers that a conflict names.
const WRITERS_MAX: usize = 100;

/// Where a repeat's first write was found.
struct Earlier {
    note: Note,
    stored: bool,
}

impl Embedded {
    /// The first answer of a command that was taken before; `None` where none of its writes is in the history.
    pub(super) async fn first_answer(
        &self,
        shard: &Arc<Shard>,
        command: &Command,
        trails: &[TrailStart],
    ) -> Result<Option<Written>, Failed> {
        let Some(write_id) = command.write_id else { return Ok(None) };
        let mut earlier = Vec::with_capacity(trails.len());
        for (write, start) in command.writes.iter().zip(trails) {
            match self.earlier(shard, write, start, write_id).await? {
                Some(found) => earlier.push(found),
                // A batch is in the history as a whole, but for what the history has forgotten since.
                None => return Ok(None),
            }
        }
        self.answer_again(shard, command, earlier).await.map(Some)
    }

    /// Answers a command whose record has moved on.
    pub(super) async fn explain(&self, shard: &Arc<Shard>, command: &Command, late: Late) -> Result<Written, Failed> {
        let Late { index, current, trails } = late;
        let write = &command.writes[index];
        let trail = self.walk(shard, &trails[index], write.presented()).await?;
        let mut may_have_happened = false;
        if let Some(write_id) = command.write_id {
            if trail.find(write_id).is_some() {
                if let Some(first_answer) = self.first_answer(shard, command, &trails).await? {
                    return Ok(first_answer);
                }
                may_have_happened = true;
            }
            may_have_happened |= trail.hides_earlier(write.presented());
        }
        let mut since = trail.notes;
        since.truncate(WRITERS_MAX);
        Err(Failed::Refused(Box::new(Refusal::Conflict { current, since, may_have_happened })))
    }

    async fn earlier(
        &self,
        shard: &Shard,
        write: &Write,
        start: &TrailStart,
        write_id: Uuid,
    ) -> Result<Option<Earlier>, Failed> {
        if let Some(note) = start.unstored.iter().find(|note| note.writer.write_id == write_id) {
            return Ok(Some(Earlier { note: note.clone(), stored: false }));
        }
        if let Some(note) = start.newest_of(write_id) {
            return Ok(Some(Earlier { note, stored: true }));
        }
        let found = if write.precondition == Precondition::Overwrite {
            self.shelf.blind_write(start.record, write_id).await?
        } else {
            let query =
                TrailQuery { shard: shard.id(), from: start.from, until: write.presented().cloned(), most: WALK_MAX };
            self.shelf.trail(query).await?.find(write_id).cloned()
        };
        Ok(found.map(|note| Earlier { note, stored: true }))
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

    /// A record's trail, from what is not stored yet into the history.
    async fn walk(&self, shard: &Shard, start: &TrailStart, until: Option<&Vector>) -> Result<Trail, Failed> {
        if let Some(trail) = start.at_hand(until) {
            return Ok(trail);
        }
        let newer = start.unstored.iter().take_while(|note| Some(&note.vector) != until);
        let mut notes: Vec<_> = newer.cloned().collect();
        if notes.len() < start.unstored.len() {
            return Ok(Trail { notes, end: TrailEnd::Presented });
        }
        let older = TrailQuery { shard: shard.id(), from: start.from, until: until.cloned(), most: WALK_MAX };
        let Trail { notes: stored, end } = self.shelf.trail(older).await?;
        notes.extend(stored);
        Ok(Trail { notes, end })
    }
}
