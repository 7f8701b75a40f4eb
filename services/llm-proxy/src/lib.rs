#![doc = include_str!("../README.md")]

mod serve;

mod accounts;
mod config;
mod grpc;
mod llm;
mod model;
mod reload;
mod web;

mod domain;
mod gate;
mod provider;
mod sharing;

mod clock;
mod levels;
mod metrics;

pub use config::{
    Breaker, Budgets, Config, Deployment, Fallback, Key, Kind, Model, ModelLimits, Provider, Settings, Sharing,
    Tokenizer,
};
pub use serve::serve;
