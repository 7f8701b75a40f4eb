//! Pure decisions: no clock, no socket, no state service.

mod answer;
mod effect;
mod permission;
mod record;
mod slot;
mod status;
mod verdict;

pub use self::effect::Effect;

pub(crate) use self::answer::{Answer, JSON, Outcome, Reply, StandIn, Timing};
pub(crate) use self::permission::{Permission, User};
pub use self::record::RECORDED_BYTES_PER_BYTE;
pub(crate) use self::record::{Finding, Intent, Record};
pub(crate) use self::slot::{Slot, fingerprint};
pub use self::status::Statuses;
pub(crate) use self::status::{Reading, Verdict};
pub(crate) use self::verdict::Miss;
