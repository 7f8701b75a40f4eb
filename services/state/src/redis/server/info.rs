//! What a Redis says of itself.

use ::redis::aio::MultiplexedConnection;
use holdfast_config::RedisNode;
use holdfast_redis::Report;
use holdfast_storage::{Class, Failure};

use super::trouble;

/// Scripts read streams from an exclusive place on, and pick records at random.
const OLDEST: (u32, u32) = (6, 2);

/// Why a Redis cannot be used.
#[derive(Debug)]
pub(super) enum Unfit {
    /// It does not answer, or not as it should: that may pass.
    Now(Failure),
    /// As it is set up, it never can be.
    Never(String),
}

impl From<Unfit> for Failure {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Now(failure) => failure,
            Unfit::Never(why) => Self::new(Class::Io, why),
        }
    }
}

impl From<::redis::RedisError> for Unfit {
    fn from(error: ::redis::RedisError) -> Self {
        Self::Now(trouble::failure(&error))
    }
}

/// Asks a node for its life: which process it is, and of which line of data. Nothing else is asked before.
pub(super) async fn life(at: &RedisNode, connection: &mut MultiplexedConnection) -> Result<String, Unfit> {
    let report = Report::ask(connection, &["memory"]).await?;
    fit(at, report.field("redis_version"), report.field("maxmemory_policy"))?;
    if !report.is_master() {
        return Err(Unfit::Now(Failure::new(Class::Io, format!("the Redis at {at} is no master"))));
    }
    Ok(report.life())
}

fn fit(at: &RedisNode, version: &str, policy: &str) -> Result<(), Unfit> {
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    if (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < OLDEST {
        return Err(Unfit::Never(format!("the Redis at {at} is {version}; at least 6.2 is needed")));
    }
    if policy != "noeviction" {
        return Err(Unfit::Never(format!(
            "the Redis at {at} has maxmemory-policy {policy}: it would throw away writes that are not stored yet. \
             Set `maxmemory-policy noeviction` in its configuration"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redis_that_is_too_old_or_forgets_is_told_what_is_wrong() {
        let at = RedisNode { host: "cache".into(), port: 6379 };
        let why = |version, policy| match fit(&at, version, policy) {
            Err(Unfit::Never(why)) => why,
            other => format!("{other:?}"),
        };
        assert!(why("6.0.16", "noeviction").contains("at least 6.2"));
        assert!(why("7.0.15", "allkeys-lru").contains("cache:6379 has maxmemory-policy allkeys-lru"));
        assert!(fit(&at, "6.2.0", "noeviction").is_ok() && fit(&at, "10.0.0", "noeviction").is_ok());
    }
}
