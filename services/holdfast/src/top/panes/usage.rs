//! State latency, and tokens.

use std::time::Duration;

use super::super::figures::{self, Latency, TokenUse};
use super::super::state::State;
use super::super::table::{Cell, Row, Table, Tone, figure, filling, text};
use super::super::write;

pub(super) fn records(state: &State) -> Table {
    let figures = figures::state(&state.known);
    let mut rows: Vec<_> = figures.latencies.iter().map(latency).collect();
    let mut also = |name: &str, value: Cell| {
        let nothing = || Cell::text("");
        rows.push(Row { id: name.into(), cells: vec![Cell::text(name), value, nothing(), nothing()] });
    };
    also("conflicts", Cell::figure(figures.conflicts_per_second, write::rate));
    let unstored = figures
        .unstored_age
        .filter(|age| !age.is_zero())
        .map(|age| format!(", oldest {}", write::span(age)))
        .unwrap_or_default();
    let dirty = Cell::figure(figures.dirty_writes, write::count);
    also(&format!("not stored yet{unstored}"), dirty);
    if let Some(lost) = figures.epochs_lost.filter(|lost| *lost > 0.0) {
        also("epochs lost", Cell::figure(Some(lost), write::count).tone(Tone::Bad));
    }
    Table {
        title: "State",
        note: super::metrics_note("state", state, Some("of the last 10 s")),
        columns: vec![filling("access", 10, 0), figure("per s", 0), figure("p50", 0), figure("p99", 0)],
        rows,
        empty: "",
    }
}

fn latency(latency: &Latency) -> Row {
    let span = |span: Option<Duration>| {
        Cell::figure(span.map(|span| span.as_secs_f64()), |_| span.map(write::span).unwrap_or_default())
    };
    let kind = match (latency.access, latency.kind.as_str()) {
        ("read", "list") => "list".to_owned(),
        ("read", from) => format!("read, {from}"),
        (access, kind) => format!("{access}, {kind}"),
    };
    let name = format!("{kind} ({})", latency.backend);
    Row {
        id: name.clone(),
        cells: vec![
            Cell::text(name),
            Cell::figure(latency.per_second, write::rate),
            span(latency.p50),
            span(latency.p99),
        ],
    }
}

pub(super) fn tokens(state: &State) -> Table {
    Table {
        title: "Tokens",
        note: super::metrics_note("llm-proxy", state, Some("of the last 10 s, and since its start")),
        columns: vec![
            filling("agent", 10, 0),
            text("tenant", 3),
            text("model", 2),
            figure("in/s", 0),
            figure("out/s", 0),
            figure("in", 1),
            figure("out", 1),
        ],
        rows: figures::tokens(&state.known).iter().map(tokens_row).collect(),
        empty: "none were used",
    }
}

fn tokens_row(used: &TokenUse) -> Row {
    let agent = if used.agent.is_empty() { "-" } else { &used.agent };
    Row {
        id: format!("{} {} {}", used.model, used.tenant, used.agent),
        cells: vec![
            Cell::text(agent),
            Cell::text(&*used.tenant),
            Cell::text(&*used.model),
            Cell::figure(used.input_rate, write::rate),
            Cell::figure(used.output_rate, write::rate),
            Cell::figure(Some(used.input), write::count),
            Cell::figure(Some(used.output), write::count),
        ],
    }
}
