#![doc = include_str!("../README.md")]

mod serve;

mod config;
mod grpc;
mod llm;
mod model;

mod domain;
mod gate;
mod provider;

mod clock;
mod metrics;

pub use config::{Breaker, Config, Deployment, Fallback, Key, Kind, Model, Provider, Settings};
pub use serve::serve;
