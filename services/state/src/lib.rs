#![doc = include_str!("../README.md")]

pub mod config;
pub mod decider;
pub mod domain;
pub mod embedded;
pub mod failed;
#[cfg(feature = "planted-faults")]
pub mod faults;
pub mod metrics;
pub mod place;
pub mod state;
pub mod store;
pub mod write;

mod grpc;
mod serve;

pub use config::Config;
pub use decider::Decider;
pub use embedded::Embedded;
pub use grpc::Api;
pub use serve::serve;
pub use state::State;
