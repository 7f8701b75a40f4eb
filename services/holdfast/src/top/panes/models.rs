//! Keys with their limits, and the lines in front of models.

use holdfast_proto::llm::v1::KeyHealth;

use super::super::figures::{self, Key, Limit, Line};
use super::super::state::State;
use super::super::table::{Cell, Row, Table, Tone, figure, filling, scarcest, text};
use super::super::write;

/// Characters of a bar.
const BAR: usize = 8;
/// Below this part a limit is nearly used up.
const SCARCE: f64 = 0.1;

pub(super) fn keys(state: &State) -> Table {
    let waiting: u64 = figures::lines(&state.known).iter().map(|line| line.waiting).sum();
    let summary = format!("{waiting} in line");
    Table {
        title: "Keys and limits",
        note: super::note(&state.known.capacity, state, Some(&summary)),
        columns: vec![
            filling("provider/key", 12, 0),
            text("health", 0),
            text("limit", 1),
            scarcest("free", 0),
            figure("of", 1),
            text("", 3),
            figure("flying", 2),
            figure("429s", 4),
            text("model", 5),
        ],
        rows: figures::keys(&state.known).iter().map(key).collect(),
        empty: "no provider is configured",
    }
}

fn key(key: &Key<'_>) -> Row {
    let limit = key.limit.as_ref();
    let tone = if limit.is_some_and(|limit| limit.free() < SCARCE) { Tone::Warn } else { Tone::Plain };
    // In the order of what part of it is free.
    let free = Cell::figure(limit.map(Limit::free), |_| {
        limit.map(|limit| write::count(limit.available as f64)).unwrap_or_default()
    });
    let name = limit.map_or("none", |limit| limit.name());
    let model = limit.map_or("", |limit| limit.model);
    Row {
        id: format!("{}/{} {name} {model}", key.provider, key.name),
        cells: vec![
            Cell::text(format!("{}/{}", key.provider, key.name)),
            health(key),
            Cell::text(name),
            free.tone(tone),
            Cell::figure(limit.map(|limit| limit.limit as f64), write::count),
            Cell::text(limit.map(|limit| write::bar(limit.free(), BAR)).unwrap_or_default()).tone(tone),
            Cell::figure(Some(f64::from(key.in_flight)), write::count),
            Cell::figure(key.refused, write::count),
            Cell::text(model),
        ],
    }
}

fn health(key: &Key<'_>) -> Cell {
    match key.health {
        KeyHealth::Well => Cell::text("well").tone(Tone::Good),
        KeyHealth::Resting => Cell::text(format!("rests {}", write::age(key.rest))).tone(Tone::Warn),
        KeyHealth::Ramping => Cell::text("ramps up").tone(Tone::Warn),
        KeyHealth::Quarantined => Cell::text("QUARANTINED").tone(Tone::Bad),
        KeyHealth::Unspecified => Cell::text("unknown").tone(Tone::Faint),
    }
}

pub(super) fn lines(state: &State) -> Table {
    Table {
        title: "Lines",
        note: super::note(&state.known.capacity, state, None),
        columns: vec![
            filling("provider/model", 14, 0),
            figure("waiting", 0),
            figure("tokens", 1),
            figure("a call would wait", 0),
        ],
        rows: figures::lines(&state.known).iter().map(line).collect(),
        empty: "no model is configured",
    }
}

fn line(line: &Line<'_>) -> Row {
    let name = format!("{}/{}", line.provider, line.model);
    Row {
        id: name.clone(),
        cells: vec![
            Cell::text(name),
            Cell::figure(Some(line.waiting as f64), write::count),
            Cell::figure(Some(line.waiting_tokens as f64), write::count),
            Cell::figure(Some(line.wait.as_secs_f64()), |_| write::span(line.wait)),
        ],
    }
}
