//! What the panes and the document show, made of what is known: one place for both.

mod circuits;
mod models;
mod services;
mod work;

pub(crate) use circuits::{Circuit, Standing, circuits};
pub(crate) use models::{Key, Limit, Line, TokenUse, keys, lines, tokens};
pub(crate) use services::{Latency, Service, services, state};
pub(crate) use work::{Agent, agents};

use std::time::Duration;

use holdfast_rpc::time;

/// A span of the wire; absent or malformed is nothing.
fn span(duration: Option<&prost_types::Duration>) -> Duration {
    duration.and_then(time::span).unwrap_or_default()
}
