#![doc = include_str!("../README.md")]

mod serve;

mod config;

mod domain;

mod calls;
mod catalog;
mod circuits;
mod journal;
mod last_good;
mod places;
mod schema;
mod upstream;

mod grpc;
mod metrics;

pub use config::{Breaker, Config, Fallback, Method, Tool, ToolProxy};
pub use domain::Effect;
pub use serve::serve;
