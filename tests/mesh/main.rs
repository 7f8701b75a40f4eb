//! The whole mesh, as real processes.

mod frozen_worker;
mod python;
mod queue_kills;
