//! Circuits, those that are not closed first.

use super::super::figures::{self, Circuit, Standing};
use super::super::state::State;
use super::super::table::{Cell, Row, Table, Tone, figure, filling, text};
use super::super::write;

pub(super) fn table(state: &State) -> Table {
    let circuits = figures::circuits(&state.known, state.wall);
    let open = circuits.iter().filter(|circuit| circuit.standing == Standing::Open).count();
    let summary = (open > 0).then(|| format!("{open} open"));
    let mut table = Table {
        title: "Circuits",
        note: super::note(&state.known.circuits, state, summary.as_deref()),
        columns: vec![
            filling("circuit", 18, 0),
            text("state", 0),
            figure("failed", 2),
            figure("slow", 4),
            figure("for", 1),
            text("set", 3),
            text("reason", 5),
        ],
        rows: circuits.iter().map(row).collect(),
        empty: "none is told of",
    };
    // What is worst comes first.
    table.columns[1].descends = true;
    table
}

fn row(circuit: &Circuit) -> Row {
    let tone = match circuit.standing {
        Standing::Open => Tone::Bad,
        Standing::HalfOpen => Tone::Warn,
        Standing::Closed => Tone::Good,
    };
    let word = match circuit.standing {
        Standing::Open => "OPEN",
        other => other.name(),
    };
    let failed = circuit.window.map(|(calls, failed, _)| (f64::from(failed), format!("{failed}/{calls}")));
    let slow = circuit.window.map(|(_, _, slow)| f64::from(slow));
    Row {
        id: circuit.name.clone(),
        cells: vec![
            Cell::text(&*circuit.name),
            Cell::text(word).tone(tone).rank(circuit.standing as u8 as f64),
            Cell::figure(failed.as_ref().map(|(failed, _)| *failed), |_| failed.clone().unwrap_or_default().1),
            Cell::figure(slow, write::count),
            Cell::figure(circuit.since.map(|since| since.as_secs_f64()), |_| {
                circuit.since.map(write::age).unwrap_or_default()
            }),
            Cell::text(if circuit.by_hand { "by hand" } else { "" }).tone(Tone::Warn),
            Cell::text(&*circuit.reason),
        ],
    }
}
