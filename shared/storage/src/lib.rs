#![doc = include_str!("../README.md")]

mod database;
mod failure;
mod inbox;
mod lock;
mod reader;
mod writer;

pub use database::{Database, OpenError};
pub use failure::{Class, Failure};
pub use inbox::Refused;
pub use lock::DirectoryLock;
pub use reader::Reader;
pub use writer::{Batch, Journal, Waiter, Waiters, Writer, WriterOptions, waiters};
