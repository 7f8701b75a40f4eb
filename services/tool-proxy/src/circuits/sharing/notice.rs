//! What Redis says of a circuit.

use std::time::Duration;

use ::redis::{FromRedisValue, Value, from_redis_value_ref};
use holdfast_resilience::breaker::{Mode, Reason, State};

use crate::circuits::word::Word;

/// How a circuit stands for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::circuits) struct Notice {
    /// Rises with each change.
    pub(in crate::circuits) version: u64,
    pub(in crate::circuits) state: State,
    /// What is left of the open time.
    pub(in crate::circuits) left: Duration,
    pub(in crate::circuits) openings: u32,
    pub(in crate::circuits) reason: Reason,
    /// The last word of an operator.
    pub(in crate::circuits) word: Option<Word>,
}

impl Notice {
    /// Whether a probe is all that may pass.
    pub(super) fn passes_none(&self) -> bool {
        self.state != State::Closed && self.word.as_ref().is_none_or(|word| word.mode == Mode::Auto)
    }

    pub(super) fn is_open(&self) -> bool {
        self.state == State::Open
    }
}

/// A state as scripts name it.
pub(super) const fn name(state: State) -> &'static str {
    match state {
        State::Closed => "closed",
        State::Open => "open",
        State::HalfOpen => "half_open",
    }
}

/// A mode as scripts name it.
pub(super) const fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Auto => "auto",
        Mode::ForcedOpen => "forced_open",
        Mode::ForcedClosed => "forced_closed",
    }
}

/// What an answer says; `None` where it is not ours.
type Read<T> = Option<T>;

/// One notice for each circuit that was asked for, where something is known of it.
pub(super) fn of_look(value: &Value) -> Read<Vec<Option<Notice>>> {
    value.as_sequence()?.iter().map(notice).collect()
}

/// Whether it was taken, and how the circuit stands.
pub(super) fn of_change(value: &Value) -> Read<(bool, Option<Notice>)> {
    let [taken, standing] = value.as_sequence()? else { return None };
    Some((read::<u8>(taken)? == 1, notice(standing)?))
}

/// Whether a probe was granted, when to come back, and how the circuit stands.
pub(super) fn of_probe(value: &Value) -> Read<(bool, Duration, Option<Notice>)> {
    let [granted, wait, standing] = value.as_sequence()? else { return None };
    Some((read::<u8>(granted)? == 1, Duration::from_micros(read(wait)?), notice(standing)?))
}

fn notice(value: &Value) -> Read<Option<Notice>> {
    let fields = value.as_sequence()?;
    if fields.is_empty() {
        return Some(None);
    }
    let [version, state, left, openings, reason, _stamp, word] = fields else { return None };
    let word: String = read(word)?;
    Some(Some(Notice {
        version: read(version)?,
        state: match read::<String>(state)?.as_str() {
            "closed" => State::Closed,
            "open" => State::Open,
            "half_open" => State::HalfOpen,
            _ => return None,
        },
        left: Duration::from_micros(read(left)?),
        openings: read(openings)?,
        reason: serde_json::from_str(&read::<String>(reason)?).ok()?,
        word: if word.is_empty() { None } else { Some(serde_json::from_str(&word).ok()?) },
    }))
}

fn read<T: FromRedisValue>(value: &Value) -> Read<T> {
    from_redis_value_ref(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    #[test]
    fn an_answer_that_is_not_ours_is_none() {
        let standing = |state: &str| {
            let why = serde_json::to_string(&Reason::FailureRate { failures: 4, calls: 5 }).expect("JSON");
            Value::Array(["7", state, "1500", "2", why.as_str(), "0", ""].map(text).into())
        };
        let known = of_look(&Value::Array(vec![standing("open"), Value::Array(Vec::new())])).expect("ours");
        let open = known[0].as_ref().expect("known");
        assert_eq!((open.version, open.state, open.left), (7, State::Open, Duration::from_micros(1_500)));
        assert_eq!(open.reason.to_string(), "4 of 5 calls failed");
        assert_eq!(known[1], None);
        assert_eq!(of_look(&Value::Array(vec![standing("ajar")])), None);
        assert_eq!(of_look(&Value::Int(1)), None);
        assert_eq!(of_change(&Value::Array(vec![Value::Int(1)])), None);
    }
}
