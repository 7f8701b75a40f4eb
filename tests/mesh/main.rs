//! The whole mesh, as real processes.

mod bad_input;
mod cascade;
mod counting;
mod disk;
mod disputes;
mod drain;
mod frozen_worker;
mod hanging_tool;
mod histories;
mod kill_storm;
mod lifecycle;
mod mcp;
mod model_limit;
mod observed;
mod python;
mod queue_kills;
mod retail;
mod sdk_example;
mod shared_circuits;
mod tls;
mod tool_effects;
mod tool_fences;
mod tool_kills;
mod tool_proxy_gone;
mod tool_proxy_restarts;
mod trace;
