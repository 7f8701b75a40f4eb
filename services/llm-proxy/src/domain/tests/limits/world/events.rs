//! What may happen, and to which keys.

use proptest::prelude::*;

use super::*;

/// What happens next. The number picks a call; percents say how much of what was set aside a call used.
#[derive(Debug, Clone)]
pub(super) enum Event {
    Ask {
        lane: u16,
        need: (u64, u64),
        patience: Option<u64>,
    },
    Sent(usize),
    Answered(usize),
    Done(usize, (u64, u64)),
    GivenUp(usize),
    NeverSent(usize),
    Refused {
        call: usize,
        rest: u64,
    },
    Denied {
        call: usize,
        rest: u64,
    },
    WaiterLeaves(usize),
    /// Removes a key, or adds it again.
    Toggle(usize),
}

pub(super) fn event() -> impl Strategy<Value = Event> {
    let call = 0..64_usize;
    let ask = (0..2_u16, (0..40_u64, 0..40_u64), prop::option::of(0..4_000_u64));
    prop_oneof![
        8 => ask.prop_map(|(lane, need, patience)| Event::Ask { lane, need, patience }),
        4 => call.clone().prop_map(Event::Sent),
        3 => call.clone().prop_map(Event::Answered),
        4 => (call.clone(), (0..=100_u64, 0..=100_u64)).prop_map(|(call, used)| Event::Done(call, used)),
        1 => call.clone().prop_map(Event::GivenUp),
        1 => call.clone().prop_map(Event::NeverSent),
        1 => (call.clone(), 1..3_000_u64).prop_map(|(call, rest)| Event::Refused { call, rest }),
        1 => (call.clone(), 1..3_000_u64).prop_map(|(call, rest)| Event::Denied { call, rest }),
        1 => call.clone().prop_map(Event::WaiterLeaves),
        1 => call.prop_map(Event::Toggle),
    ]
}

fn allowed() -> impl Strategy<Value = ModelLimits> {
    let counts = (prop::option::of(1..6_u32), prop::option::of(1..5_u32), prop::option::of(5..40_u64));
    let tokens = (prop::option::of(40..200_u64), prop::option::of(30..90_u64), prop::option::of(30..90_u64));
    (counts, tokens).prop_map(|((requests, concurrency, daily), (tokens, input, output))| ModelLimits {
        requests_per_minute: requests,
        tokens_per_minute: tokens,
        input_tokens_per_minute: input,
        output_tokens_per_minute: output,
        concurrency,
        requests_per_day: daily,
        tokens_per_day: None,
    })
}

pub(super) fn keys() -> impl Strategy<Value = Vec<Limits>> {
    let key = (allowed(), prop::option::of(allowed()), prop::option::of(allowed())).prop_map(|(own, m, n)| {
        let models = NAMES.into_iter().zip([m, n]).filter_map(|(name, limits)| Some((name.into(), limits?)));
        Limits { own, models: models.collect(), window: ms(1_000) }
    });
    prop::collection::vec(key, 1..4)
}
