#![doc = include_str!("../README.md")]

pub mod config;
pub mod domain;
pub mod store;

pub mod queue;

mod grpc;
mod serve;

mod fences;
mod gauges;
mod reaper;
mod retention;

mod metrics;

pub use config::Config;
pub use serve::serve;
