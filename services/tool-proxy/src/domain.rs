//! Pure decisions: no clock, no socket, no state service.

mod answer;
mod effect;
mod record;
mod slot;
mod verdict;

pub use self::effect::Effect;

pub(crate) use self::answer::{Answer, Outcome, Reply, Timing};
pub(crate) use self::record::{Finding, Intent, Record};
pub(crate) use self::slot::{Slot, fingerprint};
pub(crate) use self::verdict::{Miss, Verdict, healthy, judge};
