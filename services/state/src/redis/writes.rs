//! Writing: look, judge, take if nothing has changed since; then wait for the store, or not.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use holdfast_storage::{Class, Failure};
use uuid::Uuid;

use super::{
    archive::Deciding,
    engine::{Engine, Halt},
    judge::{Ground, Judged, Known, judge, shows_repeat_by_id_only},
};
use crate::{
    domain::{Address, EpochId, Fence, Precondition, Seq, ShardId, Standing, Vector},
    failed::Failed,
    place::{Move, Moves, Taken, Trouble},
    store::Unstored,
    write::{Command, Durability, Holder, Refusal, Written, WrittenRecord},
};

/// When to come back to a service that writes as much as it may.
const FULL_RETRY_AFTER: Duration = Duration::from_millis(100);

/// A command on its way, with what became of it before.
pub(super) struct Asked<'c> {
    pub(super) command: std::borrow::Cow<'c, Command>,
    pub(super) holder: Option<&'c Holder>,
    /// Its own id, or one that is minted: what it is found by if it is in doubt.
    write_id: Uuid,
    /// The epoch in which it may have been taken.
    doubt: Option<EpochId>,
    /// Whether epochs were read again before it was judged to follow from a write that is gone.
    reread: bool,
}

impl<'c> Asked<'c> {
    fn new(command: &'c Command, holder: Option<&'c Holder>) -> Self {
        let write_id = command.write_id.unwrap_or_else(Uuid::now_v7);
        Self { command: std::borrow::Cow::Borrowed(command), holder, write_id, doubt: None, reread: false }
    }

    /// It may have been taken: from now on it is looked for before it is taken again.
    fn doubt(&mut self, epoch: EpochId) {
        self.doubt = Some(epoch);
        self.command.to_mut().write_id = Some(self.write_id);
    }

    fn is_to_be_looked_for(&self, known: &[Known]) -> bool {
        let writes = self.command.writes.iter();
        self.doubt.is_some()
            || self.command.write_id.is_some()
                && writes.zip(known).any(|(write, known)| shows_repeat_by_id_only(write, known))
    }

    /// What its caller is told of a failure: what may still be taken was not simply refused.
    fn told(&self, failed: Failed) -> Failed {
        let gone_by = match &failed {
            Failed::Refused(refusal) => {
                matches!(**refusal, Refusal::Conflict { .. } | Refusal::Lost { .. })
            }
            _ => false,
        };
        match failed {
            failed if self.doubt.is_none() || gone_by => failed,
            Failed::Store(unstored) => Failed::Store(Unstored { in_doubt: true, ..unstored }),
            Failed::Closed { .. } => Failed::Closed { in_doubt: true },
            _ => {
                let failure = Failure::new(Class::Busy, "the answer of the place that decides was lost");
                Failed::Store(Unstored { failure, in_doubt: true })
            }
        }
    }
}

impl Engine {
    /// Takes a command, or says why not.
    pub(super) async fn write(self: &Arc<Self>, command: &Command, holder: Option<&Holder>) -> Result<Written, Failed> {
        let started = Instant::now();
        // What is larger than all room there is needs all of it.
        let bytes = command.bytes().min(self.settings.writes_bytes_max);
        let room = self.writing_bytes.try_acquire_many(u32::try_from(bytes).unwrap_or(u32::MAX));
        let (Ok(_place), Ok(_room)) = (self.writing.try_acquire(), room) else {
            return Err(Failed::Full { retry_after: FULL_RETRY_AFTER });
        };
        let mut asked = Asked::new(command, holder);
        let written = self.settle_write(&mut asked).await.map_err(|failed| asked.told(failed));
        self.tally.wrote(command, written.as_ref(), started.elapsed());
        written
    }

    async fn settle_write(self: &Arc<Self>, asked: &mut Asked<'_>) -> Result<Written, Failed> {
        if asked.command.writes.is_empty() {
            return Ok(Written { records: Vec::new(), durability: asked.command.durability });
        }
        loop {
            let deciding = self.knowledge().await?;
            let done = match Self::in_place(&deciding) {
                true => self.decide(&deciding, asked).await,
                false => self.by_store(&deciding, self.store.write(&asked.command, asked.holder)).await,
            };
            match done {
                Ok(written) => return Ok(written),
                Err(Halt::Failed(failed)) => return Err(failed),
                Err(Halt::Ended { in_doubt }) => {
                    if in_doubt {
                        asked.doubt(deciding.epoch);
                    }
                    self.lease.want();
                }
            }
        }
    }

    /// Decides in the place, in one epoch.
    async fn decide(self: &Arc<Self>, deciding: &Deciding, asked: &mut Asked<'_>) -> Result<Written, Halt> {
        let (epoch, shard) = (deciding.epoch, asked.command.writes[0].address.shard());
        let mut addresses: Vec<Address> = asked.command.writes.iter().map(|write| write.address.clone()).collect();
        let none = Vector::default();
        addresses.extend(asked.command.guard.iter().map(|guard| guard.address.clone()));
        loop {
            let mut known = self.look(epoch, shard, &addresses).await?;
            let guard = known.split_off(asked.command.writes.len()).pop();
            if asked.is_to_be_looked_for(&known) {
                if self.settle_all(epoch, shard, &known).await? {
                    continue;
                }
                if let Some(before) = self.first_answer(shard, &asked.command, &known).await? {
                    return Ok(before);
                }
                // What an epoch that is over took would be in the store.
                asked.doubt = asked.doubt.filter(|doubted| *doubted == epoch);
            }
            // What is not there has been forgotten for no longer than its floor is known to who believes something now: what
            // was believed before the look may lack it.
            let deciding = self.still(epoch)?;
            let floor = deciding.floors.get(shard.index()).unwrap_or(&none);
            let ground = Ground { known: &known, guard: guard.as_ref(), floor, epochs: &deciding.epochs };
            match judge(&asked.command, asked.write_id, ground) {
                Judged::Take(moves) => {
                    if let Some(written) = self.take(epoch, shard, asked, moves).await? {
                        return Ok(written);
                    }
                }
                Judged::Wait(seq) => self.until_stored(epoch, shard, seq).await?,
                Judged::Late(late) => return self.explain(epoch, shard, &asked.command, &known, *late).await,
                Judged::Refused(refusal) => return Err(self.refuse(&deciding, asked, refusal).await),
            }
        }
    }

    /// A version is only said to be gone by who knows which epochs are folded now.
    async fn refuse(&self, deciding: &Deciding, asked: &mut Asked<'_>, refusal: Box<Refusal>) -> Halt {
        if matches!(*refusal, Refusal::Lost { .. }) && !std::mem::replace(&mut asked.reread, true) {
            self.heard_again(deciding.epoch).await;
            return Halt::Ended { in_doubt: false };
        }
        match self.check(deciding.epoch) {
            Ok(()) => Halt::Failed(Failed::Refused(refusal)),
            Err(halt) => halt,
        }
    }

    /// Takes what was judged; `None` where something has changed since.
    async fn take(
        self: &Arc<Self>,
        epoch: EpochId,
        shard: ShardId,
        asked: &mut Asked<'_>,
        moves: Vec<Move>,
    ) -> Result<Option<Written>, Halt> {
        let records: Vec<_> = moves.iter().map(|one| WrittenRecord::from(&one.edition)).collect();
        let mut moves = self.moves(asked, moves);
        loop {
            if !moves.cached {
                self.lanes.refusal(epoch, shard).map_or(Ok(()), Err)?;
            }
            // What is sent now goes by the life that this knowledge was of: it can never reach another.
            self.check(epoch)?;
            self.refuse_forgotten(asked.holder)?;
            match self.place.take(shard, epoch, &moves).await {
                Ok(Taken::Taken(places)) if moves.cached => {
                    let _ = places;
                    self.lanes.note(shard);
                    // Taken in an epoch that may be over: it is looked for in the next.
                    self.check(epoch).map_err(|_| Halt::Ended { in_doubt: true })?;
                    return Ok(Some(Written { records, durability: Durability::Cached }));
                }
                Ok(Taken::Taken(places)) => {
                    let last = places.last().copied().unwrap_or_default();
                    self.until_taken_is_stored(epoch, shard, last).await?;
                    return Ok(Some(Written { records, durability: Durability::Durable }));
                }
                Ok(Taken::Changed) => return Ok(None),
                Ok(Taken::Crowded) if !moves.cached => self.barrier(epoch, shard).await?,
                Ok(Taken::Crowded) => moves.cached = false,
                Ok(Taken::Full) => {
                    self.desk(shard).wants_mark.store(true, Relaxed);
                    moves.cached = false;
                }
                Ok(Taken::FenceUnknown) => self.fill_fence(epoch, shard, asked.holder).await?,
                Ok(Taken::Fenced) => {
                    self.check(epoch)?;
                    return Err(Failed::Fenced(Standing::Superseded).into());
                }
                Err(Trouble::Away { in_doubt: true, failure }) => {
                    asked.doubt(epoch);
                    return Err(Failed::Store(Unstored { failure, in_doubt: true }).into());
                }
                Err(trouble) => return Err(self.halted(epoch, trouble)),
            }
        }
    }

    /// It is decided, so its caller is told that it may be stored whatever comes.
    async fn until_taken_is_stored(&self, epoch: EpochId, shard: ShardId, last: Seq) -> Result<(), Halt> {
        match self.until_stored(epoch, shard, last).await {
            Err(Halt::Ended { .. }) => Err(Halt::Ended { in_doubt: true }),
            Err(Halt::Failed(Failed::Store(unstored))) => {
                Err(Failed::Store(Unstored { in_doubt: true, ..unstored }).into())
            }
            other => other,
        }
    }

    fn moves(&self, asked: &Asked<'_>, moves: Vec<Move>) -> Moves {
        let command = &asked.command;
        let fence = asked.holder.map(|holder| {
            let fence = Fence { number: holder.number, lease: Some(Arc::clone(&holder.lease)) };
            (holder.scope.clone(), fence)
        });
        Moves {
            moves,
            guard: command.guard.as_ref().map(|guard| (guard.address.clone(), guard.revision)),
            fence,
            cached: command.durability == Durability::Cached,
            window_writes: self.settings.window.writes,
            window_bytes: self.settings.window.bytes,
            window_age: self.settings.window_age,
            unstored_bytes: self.settings.unstored_bytes,
        }
    }

    /// How many of a command's writes ask for no version.
    pub(super) fn blind(command: &Command) -> usize {
        command.writes.iter().filter(|write| write.precondition == Precondition::Overwrite).count()
    }
}
