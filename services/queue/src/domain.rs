//! What may happen to an invocation, and who is next: decisions without I/O and without a clock.

pub mod demand;
pub mod depth;
pub mod event;
pub mod invocation;
pub mod leases;
pub mod record;
pub mod retry;
pub mod schedule;
pub mod time;
pub mod transition;
pub mod trust;
pub mod weights;

#[cfg(test)]
mod simulation;
