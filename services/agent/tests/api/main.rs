//! The agent pool over real gRPC: a real queue and a real state service, with a scripted model and scripted tools.

mod conversation;
mod crash;
mod degraded;
mod limits;
mod mesh;
mod models;
mod state_tools;
mod tools;
