//! What all of this decider's use cases and duties share, and how one of them waits for the knowledge of who decides.

use std::{sync::Arc, time::Duration};

use holdfast_storage::{Class, Failure};
use tokio::{sync::Semaphore, time::timeout};

use super::{
    archive::{Archive, Deciding, Who},
    desk::{Desk, Waited},
    lanes::Lanes,
    lease::Lease,
    planted::{Fault, Faults},
    settings::Settings,
    tally::Tally,
};
use crate::{
    decider::Decider,
    domain::{EpochId, SHARDS, Seq, ShardId},
    failed::Failed,
    place::{Place, Trouble},
    store::{Shelf, Unstored},
};

/// How long a call waits for knowledge that ran out, before it is told to come back.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a decider in front of a store is made of.
pub struct Parts {
    /// Where it is decided.
    pub place: Arc<dyn Place>,
    /// What is behind it.
    pub archive: Arc<dyn Archive>,
    /// The same, as readers see it.
    pub shelf: Arc<dyn Shelf>,
    /// What decides while no place does: in the store itself.
    pub store: Arc<dyn Decider>,
    /// What leases go by.
    pub clock: Arc<dyn super::clock::Clock>,
}

/// The decider's inside.
pub struct Engine {
    pub(super) place: Arc<dyn Place>,
    pub(super) archive: Arc<dyn Archive>,
    pub(super) shelf: Arc<dyn Shelf>,
    pub(super) store: Arc<dyn Decider>,
    pub(super) lease: Lease,
    pub(super) desks: Vec<Desk>,
    pub(super) lanes: Lanes,
    /// Room for calls that write.
    pub(super) writing: Semaphore,
    /// Room for their bytes.
    pub(super) writing_bytes: Semaphore,
    pub(super) settings: Settings,
    pub(super) tally: Tally,
    pub(super) faults: Faults,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("lease", &self.lease).finish_non_exhaustive()
    }
}

/// Why a step in the place was not done, or counts for nothing.
#[derive(Debug)]
pub(super) enum Halt {
    /// The epoch is over, or may be: ask again who decides. What the step wrote may be found later where `in_doubt`.
    Ended {
        /// Whether it may have been taken.
        in_doubt: bool,
    },
    /// Nothing came of it.
    Failed(Failed),
}

impl From<Failed> for Halt {
    fn from(failed: Failed) -> Self {
        Self::Failed(failed)
    }
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure.into())
    }
}

impl Engine {
    pub(super) fn new(parts: Parts, settings: Settings, faults: Faults) -> Self {
        let Parts { place, archive, shelf, store, clock } = parts;
        Self {
            place,
            archive,
            shelf,
            store,
            lease: Lease::new(clock, settings.lease),
            desks: ShardId::all().map(Desk::new).collect(),
            lanes: Lanes::new(settings.lanes),
            writing: Semaphore::new(settings.writes_max.min(Semaphore::MAX_PERMITS)),
            writing_bytes: Semaphore::new(settings.writes_bytes_max.min(Semaphore::MAX_PERMITS)),
            tally: Tally::new(),
            settings,
            faults,
        }
    }

    pub(super) fn desk(&self, shard: ShardId) -> &Desk {
        &self.desks[shard.index()]
    }

    /// Who decides, waited for a little where that is not known at the moment.
    pub(super) async fn knowledge(&self) -> Result<Arc<Deciding>, Failed> {
        if let Some(deciding) = self.believed() {
            return Ok(deciding);
        }
        self.lease.want();
        let learned = async {
            loop {
                // News that come between the look and the wait are not missed: it is waited from before the look.
                let news = self.lease.news();
                if let Some(deciding) = self.lease.current() {
                    return deciding;
                }
                news.await;
            }
        };
        timeout(PATIENCE, learned).await.map_err(|_| Failed::Store(unknown()))
    }

    /// What may be believed of who decides, now.
    fn believed(&self) -> Option<Arc<Deciding>> {
        match self.faults.has(Fault::LeaseUnchecked) {
            true => self.lease.known(),
            false => self.lease.current(),
        }
    }

    /// What a place said counts only while the epoch is still believed in.
    pub(super) fn check(&self, epoch: EpochId) -> Result<(), Halt> {
        self.still(epoch).map(drop)
    }

    /// What is believed now, while that is of this epoch.
    pub(super) fn still(&self, epoch: EpochId) -> Result<Arc<Deciding>, Halt> {
        let believed = self.believed().filter(|deciding| deciding.epoch == epoch);
        believed.ok_or(Halt::Ended { in_doubt: false })
    }

    /// What trouble with the place means to who met it.
    pub(super) fn halted(&self, epoch: EpochId, trouble: Trouble) -> Halt {
        match trouble {
            Trouble::Closed => {
                self.lease.give_up(epoch);
                self.lease.want();
                Halt::Ended { in_doubt: false }
            }
            Trouble::Away { failure, in_doubt } => Halt::Failed(Failed::Store(Unstored { failure, in_doubt })),
        }
    }

    /// Waits until a place of a shard's log is stored, and visible to everybody.
    pub(super) async fn until_stored(&self, epoch: EpochId, shard: ShardId, seq: Seq) -> Result<(), Halt> {
        if self.desk(shard).stored(epoch) >= seq {
            return Ok(());
        }
        let wait = self.desk(shard).wait(epoch, seq);
        self.lanes.ring(shard);
        match wait.await {
            Waited::Stored => Ok(()),
            Waited::Ended => Err(Halt::Ended { in_doubt: false }),
            Waited::Failed(failure) => Err(failure.into()),
        }
    }

    /// Learns what the store says, and tells everybody here.
    pub(super) fn learn(&self, asked: Duration, deciding: Deciding) -> Arc<Deciding> {
        let before = self.lease.known();
        for (desk, shard) in self.desks.iter().zip(&deciding.shards) {
            desk.begin(deciding.epoch, shard.position);
        }
        let deciding = self.lease.learn(asked, deciding);
        self.tally.learned(before.as_deref(), &deciding);
        deciding
    }

    /// Which shards some CACHED writes of may not be stored.
    pub(super) fn dirty_shards(deciding: &Deciding) -> impl Iterator<Item = ShardId> {
        let dirty = deciding.shards.iter().take(SHARDS).map(|shard| shard.dirty.is_some());
        ShardId::all().zip(dirty).filter_map(|(shard, dirty)| dirty.then_some(shard))
    }

    /// Whether this is one of them.
    pub(super) fn is_dirty(deciding: &Deciding, shard: ShardId) -> bool {
        deciding.shards.get(shard.index()).is_some_and(|state| state.dirty.is_some())
    }

    /// Whether a place decides.
    pub(super) fn in_place(deciding: &Deciding) -> bool {
        matches!(deciding.who, Who::Place(_))
    }
}

/// Nobody knows who decides: the store does not say, or it is being changed.
pub(super) fn unknown() -> Unstored {
    let failure = Failure::new(Class::Busy, "who decides about writes is being found out");
    Unstored { failure: failure.healing_in(PATIENCE), in_doubt: false }
}
