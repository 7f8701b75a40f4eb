//! Services and their health, and all that could not be had.

use super::super::figures::{self, Service};
use super::super::known::{Health, Source, Trouble, TroubleKind};
use super::super::state::State;
use super::super::table::{Cell, Row, Table, Tone, figure, filling, text};
use super::super::write;

pub(super) fn table(state: &State) -> Table {
    let note = state.only_gateway.then(|| ("the others' addresses are in a --config FILE".to_owned(), Tone::Faint));
    Table {
        title: "Services",
        note,
        columns: vec![
            text("service", 0),
            text("health", 0),
            figure("calls/s", 1),
            figure("not ok/s", 4),
            figure("p99", 2),
            figure("cpu", 5),
            figure("memory", 3),
            filling("address", 12, 9),
        ],
        rows: figures::services(&state.known).iter().map(|service| row(service, state)).collect(),
        empty: "none is known",
    }
}

fn row(service: &Service<'_>, state: &State) -> Row {
    let why = service.health.trouble().or(service.metrics.trouble()).map(|trouble| trouble.why.as_str());
    // The port is what tells them apart: it must not be what is cut.
    let place = service.address.strip_prefix("http://").unwrap_or(service.address);
    let address = match why {
        Some(why) => format!("{place}  {why}"),
        None => place.to_owned(),
    };
    // What it told before it went away is no word about now.
    let reached = service.health.trouble().is_none();
    let shown = |value: Option<f64>| value.filter(|_| reached);
    Row {
        id: format!("{} {}", service.name, service.address),
        cells: vec![
            Cell::text(service.name),
            health(service.health, state),
            Cell::figure(shown(service.calls), write::rate),
            Cell::figure(shown(service.not_ok), write::rate),
            Cell::figure(shown(service.p99.map(|p99| p99.as_secs_f64())), |s| write::span(seconds(s))),
            Cell::figure(shown(service.cpu), |cpu| format!("{:.0}%", cpu * 100.0)),
            Cell::figure(shown(service.memory_bytes), write::bytes),
            Cell::text(address),
        ],
    }
}

fn health(health: &Source<Health>, state: &State) -> Cell {
    if let Some(trouble) = health.trouble() {
        let word = if trouble.kind == TroubleKind::Unreached { "gone" } else { "refuses" };
        return Cell::text(format!("{word} {}", write::age(health.for_how_long(state.now)))).tone(Tone::Bad);
    }
    match health.get() {
        Some(Health::Serving) => Cell::text("serving").tone(Tone::Good),
        Some(Health::NotServing) => Cell::text("draining").tone(Tone::Warn),
        None => Cell::text("asking").tone(Tone::Faint),
    }
}

fn seconds(seconds: f64) -> std::time::Duration {
    std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// Everything that could not be had, each with why and for how long.
pub(crate) fn troubles(state: &State) -> Vec<String> {
    let known = &state.known;
    let mut told = Vec::new();
    for process in &known.processes {
        let place = format!("{} at {}", process.service.name, process.service.address);
        match (process.health.trouble(), process.metrics.trouble()) {
            (Some(trouble), _) => told.push(sentence(&place, trouble, &process.health, state)),
            (None, Some(trouble)) => {
                told.push(sentence(&format!("the metrics of {place}"), trouble, &process.metrics, state));
            }
            (None, None) => {}
        }
    }
    if state.gateway_is_lost() {
        // What goes through it is gone with it, and that is one trouble.
        return told;
    }
    let mut through = |what: &str, trouble: Option<&Trouble>, age: String| {
        if let Some(Trouble { kind, why }) = trouble {
            told.push(match kind {
                TroubleKind::Denied => format!("{what}: the key may not see them; an operator's may (--api-key)"),
                _ => format!("{what}, asked through the gateway: {why} ({age})"),
            });
        }
    };
    let age = |span| write::age(span);
    through("depths", known.depths.trouble(), age(known.depths.for_how_long(state.now)));
    through("circuits", known.circuits.trouble(), age(known.circuits.for_how_long(state.now)));
    through("keys and limits", known.capacity.trouble(), age(known.capacity.for_how_long(state.now)));
    if state.wanted().listing.is_some() {
        // While nobody asks for them, what was wrong the last time is no word about now.
        through("invocations", known.invocations.trouble(), age(known.invocations.for_how_long(state.now)));
    }
    told
}

fn sentence<T>(place: &str, trouble: &Trouble, source: &Source<T>, state: &State) -> String {
    format!("{place}: {} ({})", trouble.why, write::age(source.for_how_long(state.now)))
}
