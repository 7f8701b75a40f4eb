mod limits;
mod line;
mod model;

use std::{collections::BTreeMap, time::Duration};

use super::*;
use crate::config::ModelLimits;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn limits(requests: Option<u32>, concurrency: Option<u32>, tokens: Option<u64>) -> Limits {
    let own =
        ModelLimits { requests_per_minute: requests, concurrency, tokens_per_minute: tokens, ..ModelLimits::default() };
    Limits { own, models: BTreeMap::new(), window: ms(1_000) }
}

/// A key with this number for a name.
fn key(number: usize, limits: &Limits, past: Past) -> NewKey {
    NewKey { name: number.to_string().into(), limits: limits.clone(), past, days: Days::Fresh }
}

const BOUNDS: Bounds = Bounds { calls: 100, bytes: 10_000 };
const AGEING: Duration = Duration::from_secs(10);

fn pool(keys: &[Limits]) -> Pool {
    let keys = keys.iter().enumerate().map(|(number, limits)| key(number, limits, Past::Fresh));
    Pool::new(keys.collect(), BOUNDS, AGEING, Duration::ZERO)
}

/// A call that writes so many tokens.
fn want(tokens: u64) -> Want {
    Want {
        lane: Lane(0),
        tenant: "t".into(),
        weight: 1,
        priority: 0,
        need: Need { input: 0, output: tokens },
        counted: None,
        bytes: 1,
        deadline: None,
        start_by: None,
    }
}

fn used(tokens: u64) -> Ending {
    Ending::Certain { used: Some(Need { input: 0, output: tokens }) }
}

fn granted(asked: Asked) -> Grant {
    match asked {
        Asked::Granted(grant) => grant,
        other => panic!("it was not granted: {other:?}"),
    }
}

fn waiting(asked: Asked) -> Ticket {
    match asked {
        Asked::Waiting(ticket) => ticket,
        other => panic!("it does not wait: {other:?}"),
    }
}

fn refused(asked: Asked) -> Refusal {
    match asked {
        Asked::Refused(refusal) => refusal,
        other => panic!("it was not refused: {other:?}"),
    }
}

const DONE: Ending = Ending::Certain { used: None };
