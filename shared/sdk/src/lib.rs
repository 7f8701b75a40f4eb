#![doc = include_str!("../README.md")]

pub mod client;
mod endpoints;
mod error;
mod failure;
mod output;
pub mod state;
mod tools;
pub mod worker;

mod calls;
mod context;
mod held;

pub use client::{Client, invocation};
pub use context::{Context, ModelStream, Outcome, StepKey, ToolAnswer};
pub use endpoints::Endpoints;
pub use error::Error;
pub use failure::Failure;
pub use holdfast_proto as proto;
pub use output::{Output, Usage};
/// Inputs, outputs and the results of steps.
pub use serde_json::Value as Json;
pub use tools::Tools;
pub use worker::Worker;
