//! The newest invocations.

use std::time::Duration;

use holdfast_proto::queue::v1::{Invocation, InvocationState};
use holdfast_rpc::time;

use super::super::state::State;
use super::super::table::{Cell, Row, Table, Tone, figure, filling, text};
use super::super::write;
use crate::output::state_name;

pub(super) fn table(state: &State) -> Table {
    let which = state.listing.words();
    let invocations = state.known.invocations.get().into_iter().flatten();
    Table {
        title: "Invocations",
        note: super::note(&state.known.invocations, state, Some(&which)),
        columns: vec![
            text("state", 0),
            filling("agent", 10, 0),
            figure("age", 0),
            figure("ran", 2),
            figure("try", 3),
            figure("tokens", 4),
            text("session", 6),
            text("failure", 5),
            text("id", 7),
        ],
        rows: invocations.map(|invocation| row(invocation, state)).collect(),
        empty: "there is none",
    }
}

fn row(invocation: &Invocation, state: &State) -> Row {
    let spec = invocation.spec.clone().unwrap_or_default();
    let at = |time: &Option<prost_types::Timestamp>| time.as_ref().and_then(time::micros);
    let between =
        |from: Option<i64>, to: i64| from.map(|from| Duration::from_micros(u64::try_from(to - from).unwrap_or(0)));
    let ended = at(&invocation.ended_at).unwrap_or(state.wall);
    let (age, ran) = (between(at(&invocation.created_at), state.wall), between(at(&invocation.started_at), ended));
    let tokens = invocation.usage.as_ref().map(|usage| (usage.input_tokens + usage.output_tokens) as f64);
    let tries = invocation.attempt + invocation.lost_leases;
    let failure = invocation.failure.as_ref().map(|failure| failure.reason.clone()).unwrap_or_default();
    Row {
        id: invocation.id.clone(),
        cells: vec![
            Cell::text(state_name(invocation.state())).tone(tone(invocation.state())),
            Cell::text(spec.agent),
            Cell::figure(age.map(|age| age.as_secs_f64()), |_| age.map(write::age).unwrap_or_default()),
            Cell::figure(ran.map(|ran| ran.as_secs_f64()), |_| ran.map(write::span).unwrap_or_default()),
            Cell::figure(Some(f64::from(tries)), write::count),
            Cell::figure(tokens.filter(|tokens| *tokens > 0.0), write::count),
            Cell::text(spec.session),
            Cell::text(failure).tone(Tone::Bad),
            Cell::text(&*invocation.id).tone(Tone::Faint),
        ],
    }
}

pub(super) fn tone(state: InvocationState) -> Tone {
    match state {
        InvocationState::Succeeded => Tone::Good,
        InvocationState::Failed | InvocationState::Dead => Tone::Bad,
        InvocationState::Cancelled => Tone::Warn,
        InvocationState::Queued | InvocationState::Leased | InvocationState::Unspecified => Tone::Plain,
    }
}
