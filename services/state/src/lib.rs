#![doc = include_str!("../README.md")]

pub mod config;
pub mod decider;
pub mod domain;
pub mod embedded;
pub mod expiry;
pub mod failed;
#[cfg(feature = "planted-faults")]
pub mod faults;
pub mod locks;
pub mod metrics;
pub mod place;
pub mod postgres;
pub mod recall;
pub mod redis;
pub mod restored;
pub mod stale;
pub mod state;
pub mod store;
pub mod watch;
pub mod write;

mod grpc;
mod serve;
mod takeover;

pub use config::Config;
pub use decider::Decider;
pub use embedded::Embedded;
pub use grpc::Api;
pub use postgres::Postgres;
pub use serve::serve;
pub use state::State;
