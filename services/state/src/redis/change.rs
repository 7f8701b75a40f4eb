//! Who decides, watched and changed. Each process does this for itself; the store's row settles who was first.
//!
//! An epoch that has to end is first said to be draining, from when on nobody's knowledge of it is renewed. Whoever has seen
//! that for a whole lease, by his own clock, ends it: he takes what is left of its log to the store, and begins the next
//! epoch there, in one transaction; in the place again if it answers, else in the store itself. Who does not reach the place
//! leaves it for a while to those who do.

mod absence;
mod clear;
mod salvage;
mod watch;

pub(crate) use absence::Absence;
pub(super) use watch::run;
