//! Limits and keys: by examples, and against a plain model of the provider.

mod keys;
mod meters;
mod world;

use super::*;

/// A key of this number with these limits, used by nobody yet.
fn fresh(number: usize, limits: &Limits) -> NewKey {
    key(number, limits, Past::Fresh)
}

fn with_model(mut limits: Limits, of_model: ModelLimits) -> Limits {
    limits.models.insert("m".into(), of_model);
    limits
}

fn of_requests(requests: u32) -> ModelLimits {
    ModelLimits { requests_per_minute: Some(requests), ..ModelLimits::default() }
}

fn only(own: ModelLimits) -> Limits {
    Limits { own, models: BTreeMap::new(), window: ms(1_000) }
}

/// A call of this size.
fn sized(input: u64, output: u64) -> Want {
    Want { need: Need { input, output }, ..want(0) }
}

/// It is sent, answered and done within this moment.
fn run(pool: &mut Pool, now: Duration, grant: &Grant, used: Need) {
    pool.sent(now, grant);
    pool.answered(now, grant);
    pool.ended(now, grant, Ending::Certain { used: Some(used) });
}

fn available(pool: &mut Pool, now: Duration, kind: Kind) -> u64 {
    let capacity = pool.capacity(now);
    let limit = capacity.keys[0].limits.iter().find(|limit| limit.kind == kind && limit.model.is_none());
    limit.expect("the key has such a limit").available
}
