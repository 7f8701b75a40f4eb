#![doc = include_str!("../README.md")]

mod access;
mod config;
mod invocations;
mod link;
mod metrics;
mod oversize;
mod passthrough;
mod serve;
mod submission;

pub use config::Config;
pub use serve::serve;
