//! What the history says to a write that came too late: its first answer, where it is a repeat, or who wrote since. The
//! history does not change but at its end, so all of this is asked without any lock.

use std::sync::Arc;

use holdfast_storage::Failure;
use uuid::Uuid;

use crate::{
    domain::{Edition, Note, Precondition, RecordId, Seq, ShardId, Trail, TrailEnd, Vector},
    store::{Shelf, TrailQuery},
    write::{Command, Current, Refusal, Write},
};

/// How far a walk goes back.
const WALK_MAX: usize = 10_000;
/// Writers that a conflict names.
const WRITERS_MAX: usize = 100;

/// Where a walk back through one record's history starts: what whoever decides knows of it without the store.
#[derive(Debug, Clone, Default)]
pub struct TrailStart {
    /// Visible writes, newest first, that need not be read …
    pub at_hand: Vec<Note>,
    /// … whether these are stored …
    pub stored: bool,
    /// … and the newest that must be read; 0 where there is none.
    pub from: Seq,
    /// The record's number; 0 where it is not known.
    pub record: RecordId,
    /// The visible edition …
    pub newest: Option<Arc<Edition>>,
    /// … and the version that it followed, where it is known.
    pub before: Option<Vector>,
}

/// A command that came too late.
#[derive(Debug, Clone)]
pub struct Late {
    /// Which of its writes.
    pub index: usize,
    /// What the record is now.
    pub current: Current,
    /// Where the histories of all its writes start.
    pub trails: Vec<TrailStart>,
}

/// A write that a repeat of it finds.
#[derive(Debug, Clone)]
pub struct Earlier {
    /// The write.
    pub note: Note,
    /// Whether it was stored when it was found.
    pub stored: bool,
}

/// What becomes of a command that came too late.
#[derive(Debug)]
pub enum Told {
    /// It was taken before: these are its writes.
    Before(Vec<Earlier>),
    /// It was not, as far as is known.
    Conflict(Box<Refusal>),
}

/// The history of one shard's records.
#[derive(Clone, Copy)]
pub struct Recall<'s> {
    shelf: &'s dyn Shelf,
    shard: ShardId,
}

impl std::fmt::Debug for Recall<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the history of {:?}", self.shard)
    }
}

impl TrailStart {
    /// The trail back to a version (`None`: to the record's first write), where nobody has to read for it.
    fn known(&self, until: Option<&Vector>) -> Option<Trail> {
        let Some(newest) = &self.newest else {
            return Some(Trail { notes: Vec::new(), end: TrailEnd::Beginning });
        };
        let end = match until {
            Some(_) if self.before.as_ref() == until => TrailEnd::Presented,
            None if newest.previous == 0 => TrailEnd::Beginning,
            _ => return None,
        };
        Some(Trail { notes: vec![(&**newest).into()], end })
    }

    /// A write at hand with this id.
    pub fn find(&self, write_id: Uuid) -> Option<Earlier> {
        if let Some(note) = self.at_hand.iter().find(|note| note.writer.write_id == write_id) {
            return Some(Earlier { note: note.clone(), stored: self.stored });
        }
        let newest = self.newest.as_ref().filter(|newest| newest.writer.write_id == write_id)?;
        Some(Earlier { note: (&**newest).into(), stored: true })
    }
}

impl<'s> Recall<'s> {
    /// A shard's history in a store.
    pub fn new(shelf: &'s dyn Shelf, shard: ShardId) -> Self {
        Self { shelf, shard }
    }

    /// The writes of a command that was taken before; `None` where one of them is not in the history.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn earlier(&self, command: &Command, trails: &[TrailStart]) -> Result<Option<Vec<Earlier>>, Failure> {
        let Some(write_id) = command.write_id else { return Ok(None) };
        let mut earlier = Vec::with_capacity(trails.len());
        for (write, start) in command.writes.iter().zip(trails) {
            match self.earlier_write(write, start, write_id).await? {
                Some(found) => earlier.push(found),
                // A batch is in the history as a whole, but for what the history has forgotten since.
                None => return Ok(None),
            }
        }
        Ok(Some(earlier))
    }

    /// What a command is told whose record has moved on.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn explain(&self, command: &Command, late: Late) -> Result<Told, Failure> {
        let Late { index, current, trails } = late;
        let write = &command.writes[index];
        let trail = self.walk(&trails[index], write.presented()).await?;
        let mut may_have_happened = false;
        if let Some(write_id) = command.write_id {
            if trail.find(write_id).is_some() {
                if let Some(earlier) = self.earlier(command, &trails).await? {
                    return Ok(Told::Before(earlier));
                }
                may_have_happened = true;
            }
            may_have_happened |= trail.hides_earlier(write.presented());
        }
        let mut since = trail.notes;
        since.truncate(WRITERS_MAX);
        Ok(Told::Conflict(Box::new(Refusal::Conflict { current, since, may_have_happened })))
    }

    async fn earlier_write(
        &self,
        write: &Write,
        start: &TrailStart,
        write_id: Uuid,
    ) -> Result<Option<Earlier>, Failure> {
        if let Some(found) = start.find(write_id) {
            return Ok(Some(found));
        }
        let found = if write.precondition == Precondition::Overwrite {
            self.shelf.blind_write(start.record, write_id).await?
        } else {
            self.read(start.from, write.presented()).await?.find(write_id).cloned()
        };
        Ok(found.map(|note| Earlier { note, stored: true }))
    }

    /// A record's trail, from what is at hand into the history.
    async fn walk(&self, start: &TrailStart, until: Option<&Vector>) -> Result<Trail, Failure> {
        if let Some(trail) = start.known(until) {
            return Ok(trail);
        }
        let newer = start.at_hand.iter().take_while(|note| Some(&note.vector) != until);
        let mut notes: Vec<_> = newer.cloned().collect();
        if notes.len() < start.at_hand.len() {
            return Ok(Trail { notes, end: TrailEnd::Presented });
        }
        let Trail { notes: older, end } = self.read(start.from, until).await?;
        notes.extend(older);
        Ok(Trail { notes, end })
    }

    async fn read(&self, from: Seq, until: Option<&Vector>) -> Result<Trail, Failure> {
        if from == 0 {
            return Ok(Trail { notes: Vec::new(), end: TrailEnd::Beginning });
        }
        self.shelf.trail(TrailQuery { shard: self.shard, from, until: until.cloned(), most: WALK_MAX }).await
    }
}
