//! The llm-proxy over real gRPC, before a simulated provider that counts by itself.

mod answers;
mod failures;
mod harness;
mod limits;
mod process;
mod proxies;
mod restart;
mod streams;
mod tls;
