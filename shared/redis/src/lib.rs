#![doc = include_str!("../README.md")]

mod news;
mod report;
mod way;

pub use news::{Line, News};
pub use report::Report;
pub use way::Way;

use ::redis::{ErrorKind, RedisError};

fn error(why: &'static str) -> RedisError {
    RedisError::from((ErrorKind::Io, why))
}
