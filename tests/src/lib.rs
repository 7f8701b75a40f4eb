#![doc = include_str!("../README.md")]

pub mod patience;
pub mod queue_kills;
pub mod retail;
pub mod tool_hang;
