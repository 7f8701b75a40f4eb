#![doc = include_str!("../README.md")]

mod serve;

mod config;

mod domain;

mod egress;

mod calls;
mod catalog;
mod circuits;
mod discovery;
mod journal;
mod last_good;
mod places;
mod schema;
mod upstream;

mod grpc;
mod mcp_server;
mod metrics;

pub use config::{Basic, Breaker, Config, Failures, Fallback, Mcp, McpServer, McpTool, Method, Tool, ToolProxy};
pub use domain::{Effect, RECORDED_BYTES_PER_BYTE, Statuses};
pub use egress::Settings as Egress;
pub use serve::{serve, serve_with_names};
