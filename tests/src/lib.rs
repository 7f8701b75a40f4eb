#![doc = include_str!("../README.md")]

pub mod counting;
pub mod patience;
pub mod queue_kills;
pub mod retail;
pub mod tool_hang;
pub mod traces;
