#![doc = include_str!("../README.md")]

pub mod backoff;
pub mod breaker;
pub mod bucket;
pub mod busy_poll;
pub mod layer;
pub mod retry_budget;
pub mod sliding_log;

pub use backoff::Backoff;
pub use breaker::{Breaker, Mode, Permit, Refused, Settings, Snapshot, Standing, Window};
pub use bucket::TokenBucket;
pub use busy_poll::BusyPoll;
pub use layer::{BreakerLayer, Classify, Verdict};
pub use retry_budget::RetryBudget;
pub use sliding_log::SlidingLog;
