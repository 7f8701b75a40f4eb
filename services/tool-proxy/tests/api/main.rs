//! The service over real gRPC, with real HTTP tools and a state service behind it, all on port 0.

mod harness;
mod tool_server;

mod breaking;
mod calling;
mod crashes;
mod effects;
mod fallbacks;
mod fences;
mod secured;
