//! The SDK over real gRPC, against a mesh in memory.

mod client;
mod example;
mod leases;
mod shutdown;
mod standin;
mod state;
mod steps;
mod tools;
mod worker;
