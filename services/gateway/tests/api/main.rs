//! The gateway over real gRPC.

mod harness;
mod keys;
mod link;
mod passthrough;
mod run;
mod stand_in;
mod submit;
