#![doc = include_str!("../README.md")]

mod access;
mod admission;
mod allowance;
mod config;
mod front;
mod invocations;
mod link;
mod metrics;
mod outflow;
mod passthrough;
mod serve;
mod submission;

pub use config::Config;
pub use serve::serve;
