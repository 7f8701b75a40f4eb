#![doc = include_str!("../README.md")]

pub mod caller;
pub mod client;
pub mod deadline;
pub mod error;
pub mod id;
pub mod keys;
pub mod lease;
pub mod server;
pub mod service;
pub mod status;
pub mod time;
pub mod trace;
pub mod web;

mod io;
mod watched;

pub use caller::{Caller, Role};
pub use client::Channel;
pub use error::Error;

/// A request as the stacks see it.
pub type HttpRequest = http::Request<tonic::body::Body>;
/// An answer as the stacks see it.
pub type HttpResponse = http::Response<tonic::body::Body>;
