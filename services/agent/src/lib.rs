#![doc = include_str!("../README.md")]

mod agent;
mod catalog;
mod config;
mod domain;
mod metrics;
mod serve;
mod tools;

pub use config::{Agent, Config, Pool};
pub use serve::serve;
