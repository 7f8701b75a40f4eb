//! Pure decisions: no clock, no I/O, no wire.

pub mod address;
pub mod decide;
pub mod epoch;
pub mod fence;
pub mod history;
pub mod record;
pub mod version;

pub use address::{Address, BadName, HIDDEN, LAST_HIDDEN, Partition, SHARDS, ShardId};
pub use decide::{Verdict, decide};
pub use epoch::{Ended, EpochId, Epochs};
pub use fence::{Fence, Standing};
pub use history::{Note, Trail, TrailEnd};
pub use record::{Edition, Micros, Precondition, RecordId, Seq, Value, Writer, next_revision};
pub use version::{BadVersion, Comparison, Vector};
