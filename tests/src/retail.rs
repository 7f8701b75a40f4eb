//! The retail desk of τ-bench: 16 tools over 1,550 records, and 115 recorded customer cases.
//!
//! ```text
//! agent ── tool-proxy ── server ── desk ── View
//!                          └────── ledger ── state (through the gateway)
//! ```
//!
//! [`desk::apply`] is what the tools do, without any I/O: it looks at a [`View`] and says what it lacks. The server fetches
//! that and asks again. Base records stand in one namespace and are never written; what a case changes stands in a
//! namespace of the case, beside the answers that were given for it, so that a repeated call gets its first answer.

pub mod arithmetic;
pub mod cases;
mod check;
pub mod desk;
pub mod ledger;
mod orders;
mod replay;
pub mod server;
pub mod setup;
mod steps;
mod users;
pub mod view;

pub use cases::{Action, Case, Records};
pub use desk::apply;
pub use ledger::Ledger;
pub use replay::{Disturbance, Report, replay};
pub use server::Server;
pub use view::{Missing, View};
