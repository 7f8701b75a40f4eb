//! What happened in one seed, as its callers saw it, and as it is seen from above.

use std::{collections::BTreeMap, sync::Arc};

use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    domain::{Address, Edition, EpochId, Seq, ShardId, Vector},
    place::Moves,
    store::{FenceScope, LostEpoch},
};

/// Virtual time in microseconds, made unique by a count.
pub(super) type Moment = u64;

/// A value: each write has its own.
pub(super) type Mark = u64;

/// A write that was decided, seen from above.
#[derive(Debug, Clone)]
pub(super) struct Take {
    pub(super) at: Moment,
    pub(super) epoch: EpochId,
    pub(super) shard: ShardId,
    pub(super) first: Seq,
    pub(super) editions: Vec<(Address, Edition)>,
    pub(super) cached: bool,
    pub(super) fence: Option<(FenceScope, u64)>,
}

impl Take {
    pub(super) fn of(epoch: EpochId, shard: ShardId, first: Seq, moves: &Moves) -> Self {
        let editions = moves.moves.iter().zip(first..);
        let editions = editions
            .map(|(one, seq)| (one.address.clone(), Edition { seq, previous: one.expected, ..one.edition.clone() }));
        let fence = moves.fence.as_ref().map(|(scope, fence)| (scope.clone(), fence.number));
        Self { at: 0, epoch, shard, first, editions: editions.collect(), cached: moves.cached, fence }
    }
}

/// What a caller asked.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Asked {
    /// What is there?
    Read(Vec<Address>),
    /// A whole partition.
    List(Vec<Address>),
    /// A write by its id: addresses, each with what it makes.
    Write { id: Uuid, makes: Vec<(Address, Option<Mark>)>, cached: bool, again: bool },
    /// This fence shall count.
    Fence { scope: String, number: u64 },
}

/// What he was told.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Told {
    /// This is there.
    Found(Vec<Option<Mark>>),
    /// It is taken.
    Taken { durable: bool, versions: Vec<(Vector, u64)> },
    /// It is not: this is there; whether it may have been before.
    Conflict { at: Address, found: Option<Mark>, may_have_happened: bool },
    /// It is not, for another reason.
    Refused,
    /// What it follows from is gone.
    Lost,
    /// It is so.
    Done,
    /// It cannot be said, or nobody answered.
    Unknown,
    /// It was not done.
    NotDone,
}

/// One call.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Call {
    pub(super) process: usize,
    pub(super) called: Moment,
    pub(super) returned: Moment,
    pub(super) asked: Asked,
    pub(super) told: Told,
}

/// Everything.
#[derive(Debug)]
pub(super) struct History {
    began: Instant,
    count: u64,
    pub(super) calls: Vec<Call>,
    pub(super) takes: Vec<Take>,
    pub(super) injected: BTreeMap<&'static str, u64>,
    /// In their order, from the first.
    pub(super) epochs: Vec<EpochId>,
    pub(super) lost: Vec<LostEpoch>,
    /// What is stored at the end.
    pub(super) stored: BTreeMap<(ShardId, Seq), (Address, Arc<Edition>)>,
    pub(super) stored_twice: bool,
    /// The ids that their callers know writes by, where others were minted on the way.
    pub(super) minted: BTreeMap<Uuid, Uuid>,
    /// Calls that failed after all trouble was over.
    pub(super) unhealed: Vec<String>,
}

impl History {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            count: 0,
            calls: Vec::new(),
            takes: Vec::new(),
            injected: BTreeMap::new(),
            epochs: Vec::new(),
            lost: Vec::new(),
            stored: BTreeMap::new(),
            stored_twice: false,
            minted: BTreeMap::new(),
            unhealed: Vec::new(),
        }
    }

    /// Now; no two moments are the same.
    pub(super) fn moment(&mut self) -> Moment {
        self.count += 1;
        (self.began.elapsed().as_micros() as u64) * 1_000 + self.count % 1_000
    }

    pub(super) fn take(&mut self, take: Take) {
        let at = self.moment();
        self.takes.push(Take { at, ..take });
    }

    pub(super) fn inject(&mut self, what: &'static str) {
        *self.injected.entry(what).or_default() += 1;
    }
}

/// The value of an edition.
pub(super) fn mark_of(edition: &Edition) -> Option<Mark> {
    let value = edition.value.as_ref()?;
    value.data.as_ref().try_into().ok().map(u64::from_be_bytes)
}
