//! Limits that several processes share: each takes small portions from a ledger in Redis, in rounds.

mod duty;
mod ledger;
mod member;
mod round;
#[cfg(test)]
mod tests;

pub(crate) use self::duty::Duty;
