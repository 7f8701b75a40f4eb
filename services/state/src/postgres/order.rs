//! What a lane is asked for, and what it answers.

use std::sync::Arc;

use crate::{
    domain::{EpochId, Seq, ShardId, Standing},
    recall::{Late, TrailStart},
    store::postgres::deciding::Deciding,
    write::{Command, Holder, Refusal, WrittenRecord},
};

/// A command on its way through a lane. Copying it is cheap.
#[derive(Debug, Clone)]
pub(super) struct Order {
    /// At least one write, each address once.
    pub(super) command: Arc<Command>,
    /// The lease that it comes with.
    pub(super) holder: Option<Arc<Holder>>,
    /// The newest write of each of its records up to which the history does not have it.
    pub(super) consulted: Option<Arc<[Seq]>>,
}

impl Order {
    /// The shard that it is about.
    pub(super) fn shard(&self) -> Option<ShardId> {
        self.command.writes.first().map(|write| write.address.shard())
    }
}

/// What becomes of an order. All of it is true once its transaction is committed.
#[derive(Debug)]
pub(super) enum Answer {
    /// It is taken.
    Taken(Vec<WrittenRecord>),
    /// It was taken before.
    Repeated(Vec<WrittenRecord>),
    /// The history must say first whether it was taken before.
    Consult {
        /// Where the histories of its records start.
        trails: Vec<TrailStart>,
        /// The order's `consulted`, once it was not found there.
        heads: Arc<[Seq]>,
    },
    /// Its record has moved on; the history says who wrote since.
    Late {
        /// Where it stands.
        late: Box<Late>,
        /// The epoch in which that was found.
        epoch: EpochId,
    },
    /// It is refused as it is.
    Refused(Box<Refusal>),
    /// The lease's fence is to be registered first.
    Register,
    /// The lease is superseded, or too old to tell.
    Fenced(Standing),
    /// Another transaction works on its shard: nothing is decided.
    Skipped,
    /// Who decides, or by which epochs, is not as was known when it was tried: nothing is decided.
    Stale(Arc<Deciding>),
}
