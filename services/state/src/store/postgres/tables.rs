//! What a transaction that decides, or flushes, does with the tables. All of it happens in the caller's transaction, under
//! the locks of the rows of its shards: [`lock_shards`] comes first, [`store`] last, the commit is the caller's.

mod append;
mod fences;
mod load;
mod shards;
mod try_fences;

use crate::domain::{EpochId, Seq, ShardId, Vector};
use crate::store::Bound;

pub use append::{Advance, advance, append, drop_record, store};
pub(super) use fences::fence;
pub use fences::{Fences, confirm_fence, fence_shards, share_fences, write_fences};
pub use load::{blind_writes, load, load_if};
pub use shards::{lock_shards, mark, read_shards, set_floor};
pub use try_fences::{Keep, Tried, read_fences, share_decider, try_fences};

/// What to do about a shard that another transaction works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// Wait for it.
    Wait,
    /// Leave it out of the answer.
    Skip,
}

/// What kind of place decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decides {
    /// This database, under the locks of the shards' rows.
    Postgres,
    /// A Redis in front of it.
    Redis,
}

/// How a shard stands in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardRow {
    /// Which one.
    pub shard: ShardId,
    /// The epoch that counts.
    pub epoch: EpochId,
    /// Who decides in it.
    pub who: Decides,
    /// How often epochs were folded. Where the caller's [`Deciding`](super::deciding::Deciding) has another number, versions
    /// cannot be compared: it is to be read again first.
    pub folds: u64,
    /// The place of the last write that is stored.
    pub position: Seq,
    /// The version of every record of the shard that is not there.
    pub floor: Vector,
    /// What may be lost of acknowledged CACHED writes; `None`: nothing.
    pub dirty: Option<Bound>,
    /// Whether this is the server on which the epoch began. Where it is not, nothing may be decided or flushed: the epoch is
    /// to be ended, with loss.
    pub same_server: bool,
}

impl Decides {
    /// As the rows name it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Redis => "redis",
        }
    }
}

/// For the test of their plans.
#[cfg(test)]
pub(super) mod statements {
    pub(in crate::store::postgres) use super::append::STORE;
    pub(in crate::store::postgres) use super::fences::{CONFIRM, SHARE, WRITE};
    pub(in crate::store::postgres) use super::load::{BLIND_WRITES, LOAD, LOAD_IF};
    pub(in crate::store::postgres) use super::shards::{READ, SKIP, WAIT};
    pub(in crate::store::postgres) use super::try_fences::{
        HOLD as TRY_HOLD, READ as TRY_READ, SHARE as TRY_SHARE, SHARE_DECIDER,
    };
}
