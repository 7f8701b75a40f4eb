//! The llm-proxy over real gRPC, before a simulated provider that counts by itself.

mod accounts;
mod answers;
mod anthropic;
mod azure;
mod budgets;
mod capacity;
mod failures;
mod fallbacks;
mod harness;
mod limits;
mod probes;
mod process;
mod proxies;
mod refusals;
mod reload;
mod restart;
mod settled;
mod sharing;
mod slow;
mod streams;
mod stub;
mod tls;
mod web;
mod wire;
