#![doc = include_str!("../README.md")]

mod admin;
mod changes;
mod config;
mod counting;
mod counts;
mod faults;
mod provider;
mod serve;
mod simulator;
mod template;
mod tools;

pub use config::{Config, Tool};
pub use counts::{Counts, KeyCounts, ModelCounts, Most, ToolCounts};
pub use faults::{Faults, Flap, Hint};
pub use provider::{
    calls::{CallEnd, ModelCall},
    limits::{Limits, ModelLimits},
    rules::{Rule, RuleCall, When},
    script::{Script, ScriptCall, Step},
};
pub use serve::serve;
pub use simulator::{Of, Running, Simulator};
pub use tools::Effect;
