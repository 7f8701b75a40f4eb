//! The SDK over real gRPC, against a mesh in memory that can be broken at will, and against the real queue and state.

mod client;
mod example;
mod leases;
mod locks;
mod past;
mod real;
mod refused;
mod served;
mod shutdown;
mod standin;
mod state;
mod steps;
mod tools;
mod usage;
mod watches;
mod worker;
