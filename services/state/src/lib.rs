#![doc = include_str!("../README.md")]

pub mod config;
pub mod domain;
#[cfg(feature = "planted-faults")]
pub mod faults;
pub mod fences;
pub mod flusher;
pub mod metrics;
pub mod shard;
pub mod state;
pub mod store;
pub mod upkeep;
pub mod window;
pub mod write;

mod bell;
mod grpc;
mod serve;

pub use config::Config;
pub use grpc::Api;
pub use serve::serve;
pub use state::State;
