#![doc = include_str!("../README.md")]

mod away;
mod caller;
mod day;
mod ends;
mod error;
mod guard;
mod mesh;
pub mod outcome;
pub mod own;
mod pace;
mod play;
mod pool;
mod progress;
mod rehearsal;
pub mod report;
pub mod scenario;
mod side;
mod stage;
mod stores;
mod table;
mod verdict;
mod watch;
mod web;

pub use day::Terms;
pub use error::Error;
pub use outcome::Outcome;
pub use progress::Progress;
pub use rehearsal::{Ground, Rehearsal};
pub use scenario::{Scenario, Which, Written};
pub use stage::Place;
pub use table::table;
