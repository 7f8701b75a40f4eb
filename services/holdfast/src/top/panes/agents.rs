//! Depth and wait by agent type.

use super::super::figures::{self, Agent};
use super::super::state::State;
use super::super::table::{Cell, Row, Table, Tone, figure, filling, text};
use super::super::write;

/// Characters of a trend.
const TREND: usize = 16;

pub(super) fn table(state: &State) -> Table {
    Table {
        title: "Agents",
        note: super::note(&state.known.depths, state, Some("of the key's tenant")),
        columns: vec![
            filling("agent", 12, 0),
            figure("waiting", 0),
            figure("running", 0),
            figure("oldest", 1),
            figure("wait p50", 4),
            figure("wait p99", 3),
            figure("ended/s", 5),
            figure("all tenants", 6),
            text("trend", 2),
        ],
        rows: figures::agents(&state.known).iter().map(row).collect(),
        empty: "no agent type has had work",
    }
}

fn row(agent: &Agent<'_>) -> Row {
    let span = |span: Option<std::time::Duration>| {
        Cell::figure(span.map(|span| span.as_secs_f64()), |_| span.map(write::span).unwrap_or_default())
    };
    let waiting = Cell::figure(agent.queued.map(|count| count as f64), write::count);
    let waits = agent.queued.is_some_and(|count| count > 0);
    let trend = agent.trend.map(|trend| write::trend(trend.iter().copied(), TREND)).unwrap_or_default();
    Row {
        id: agent.name.clone(),
        cells: vec![
            Cell::text(&*agent.name),
            if waits { waiting.tone(Tone::Warn) } else { waiting },
            Cell::figure(agent.leased.map(|count| count as f64), write::count),
            span(agent.oldest),
            span(agent.wait_p50),
            span(agent.wait_p99),
            Cell::figure(agent.drain, write::rate),
            Cell::figure(agent.queued_of_all, write::count),
            Cell::text(trend),
        ],
    }
}
