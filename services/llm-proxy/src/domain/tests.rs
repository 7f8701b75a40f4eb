mod limits;
mod line;

use std::time::Duration;

use super::*;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn limits(requests: Option<u32>, concurrency: Option<u32>, tokens: Option<u64>) -> Limits {
    Limits { requests, tokens, concurrency, window: ms(1_000) }
}

fn pool(keys: &[Limits]) -> Pool {
    Pool::new(keys.iter().map(|limits| (limits.clone(), Past::Fresh)).collect(), 100, 10_000, Duration::ZERO)
}

fn want(tokens: u64) -> Want {
    Want { tokens, bytes: 1, deadline: None }
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

const DONE: Ending = Ending::Certain { tokens: None };
