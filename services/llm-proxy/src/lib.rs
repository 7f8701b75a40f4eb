#![doc = include_str!("../README.md")]

mod serve;

mod config;
mod grpc;
mod web;
mod llm;
mod accounts;
mod model;
mod reload;

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
