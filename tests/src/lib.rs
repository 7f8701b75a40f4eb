#![doc = include_str!("../README.md")]

pub mod accounts;
pub mod backlog;
pub mod counting;
pub mod fairness;
pub mod histories;
pub mod kill_storm;
pub mod load;
pub mod overload;
pub mod patience;
pub mod queue_kills;
pub mod retail;
pub mod state_load;
pub mod tool_hang;
pub mod traces;
