#![doc = include_str!("../README.md")]

mod document;
mod error;
mod secret;
mod sections;
mod units;

pub use document::{Document, SECTIONS};
pub use error::{ConfigError, Invalid};
pub use secret::Secret;
pub use sections::{
    Common, Data, Database, LogFormat, Mesh, Peer, Redis, RedisKind, RedisNode, RedisUrl, Telemetry, Tenant, Tenants,
    Tls, Urls,
};
pub use units::{Size, Span};
