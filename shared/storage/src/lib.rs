#![doc = include_str!("../README.md")]

mod count;
mod database;
mod failure;
pub mod gate;
mod inbox;
mod lock;
mod postgres;
mod reader;
mod waiters;
mod writer;

pub use database::{Database, OpenError};
pub use failure::{Class, Failure};
pub use inbox::Refused;
pub use lock::DirectoryLock;
pub use postgres::{Applied, Decided, Ledger, Postgres, PostgresOptions, Trouble, Witness, Wrote};
pub use reader::Reader;
pub use waiters::{Waiter, Waiters, waiters};
pub use writer::{Batch, Journal, Writer, WriterOptions};
