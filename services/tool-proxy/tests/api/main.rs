//! The service over real gRPC, with real HTTP tools and a state service behind it, all on port 0.

mod harness;
mod names;
mod raw_server;
mod tool_server;
mod twins;

mod breaking;
mod calling;
mod cancelling;
mod circuits;
mod crashes;
mod effects;
mod egress;
mod endpoint;
mod fallbacks;
mod fences;
mod isolation;
mod judging;
mod permission;
mod phases;
mod recalling;
mod redaction;
mod retries;
mod secured;
mod sharing;
mod templates;
mod upstream_mcp;
