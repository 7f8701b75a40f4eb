//! The gateway over real gRPC.

mod admission;
mod bounds;
mod failing;
mod failover;
mod harness;
mod keys;
mod lifecycle;
mod link;
mod openai;
mod passthrough;
mod redrive;
mod run;
mod stand_in;
mod submit;
mod web;
