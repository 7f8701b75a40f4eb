#![doc = include_str!("../README.md")]

mod common;
mod document;
mod error;
mod secret;
mod units;

pub use common::{Common, Data, LogFormat, Mesh, Peer, Telemetry, Tls};
pub use document::{Document, SECTIONS};
pub use error::{ConfigError, Invalid};
pub use secret::Secret;
pub use units::{Size, Span};
