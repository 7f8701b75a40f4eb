//! The gateway over real gRPC.

mod harness;
mod keys;
mod lifecycle;
mod link;
mod passthrough;
mod run;
mod stand_in;
mod submit;
