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

pub use config::{
    Breaker, Budgets, Config, Deployment, Fallback, Key, Kind, Model, ModelLimits, Provider, Settings, Sharing,
    Tokenizer,
};
pub use serve::serve;
