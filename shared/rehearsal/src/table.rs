//! What a rehearsal came to, for people.

use std::fmt::Write as _;

use crate::outcome::{LEFT_OUT, Outcome, Side};
use crate::verdict::shown;

/// What comes in each of more phases is not told: the figures would be out of sight.
const PHASES_MAX: usize = 8;
/// The rows: a figure, and what it is called.
const ROWS: [(&str, &str); 22] = [
    ("success_rate", "answered in time"),
    ("offered", "invocations"),
    ("succeeded", "  succeeded"),
    ("degraded", "    of these by a fallback"),
    ("wrong_answers", "    of these wrong, unseen"),
    ("failed", "  failed"),
    ("expired", "  too late"),
    ("refused", "  never taken"),
    ("lost_updates", "updates lost"),
    ("state_write_timeouts", "state writes timed out"),
    ("provider_429", "429 from the provider"),
    ("tool_stalls", "tool calls that hung"),
    ("stalled_worker_seconds", "worker seconds in such calls"),
    ("cut_off", "in hand when workers were killed"),
    ("left_lying", "  and not begun again"),
    ("refusals", "told to come back"),
    ("refusals_without_retry_after", "  without saying when"),
    ("wait_p50_ms", "wait for a worker, median, ms"),
    ("wait_p99_ms", "  99% within, ms"),
    ("depth_max", "most that waited"),
    ("goodput_per_second", "good answers a second"),
    ("late_p99_ms", "callers late, 99% within, ms"),
];

/// The whole table, with what was seen and what held.
pub fn table(outcome: &Outcome) -> String {
    let mut text = format!("{}: {}\n", outcome.scenario, outcome.title);
    let factor = shown("factor", outcome.factor);
    writeln!(text, "Time ran {factor} times as fast as on the day; the times below are as they were here.\n").ok();
    if outcome.left_out().next().is_some() {
        outcome.left_out().for_each(|left_out| text.push_str(&format!("left out: {left_out}\n")));
        text.push('\n');
    }
    terms(&mut text, outcome);
    let columns: Vec<(&str, &Side)> = outcome.sides().collect();
    write!(text, "\n{:<32}", "").ok();
    columns.iter().for_each(|(name, _)| text.push_str(&format!("{name:>14}")));
    text.push('\n');
    let mut rows: Vec<(&str, Vec<String>)> = ROWS.iter().map(|(key, label)| (*label, cells(&columns, key))).collect();
    let tokens = |side: &Side| format!("{}", side.tokens_input + side.tokens_output);
    rows.push(("tokens read and written", columns.iter().map(|(_, side)| tokens(side)).collect()));
    for (label, cells) in rows {
        write!(text, "{label:<32}").ok();
        cells.iter().for_each(|cell| text.push_str(&format!("{cell:>14}")));
        text.push('\n');
    }
    phases(&mut text, &columns);
    tenants(&mut text, &columns);
    for (name, side) in &columns {
        if !side.reasons.is_empty() {
            let reasons: Vec<_> = side.reasons.iter().map(|(why, count)| format!("{why} {count}")).collect();
            writeln!(text, "\nwhy not, {name}: {}", reasons.join(", ")).ok();
        }
    }
    verdicts(&mut text, outcome);
    text
}

/// What was played; of somebody's own agents, whose, and what is not as theirs.
fn terms(text: &mut String, outcome: &Outcome) {
    let phases = &outcome.on.parts;
    let is_one = |name: &str| phases.iter().any(|part| part.phase == name);
    let shown = |name: &str| name != LEFT_OUT && (phases.len() <= PHASES_MAX || !is_one(name));
    for (name, value) in outcome.terms.iter().filter(|(name, _)| shown(name)) {
        writeln!(text, "{name:<31} {value}").ok();
    }
}

fn cells(columns: &[(&str, &Side)], key: &str) -> Vec<String> {
    let figure = |side: &Side| side.figures().get(key).map_or("–".into(), |figure| shown(key, *figure));
    columns.iter().map(|(_, side)| figure(side)).collect()
}

/// Success in each phase, where there are several.
fn phases(text: &mut String, columns: &[(&str, &Side)]) {
    let Some((_, first)) = columns.first().filter(|(_, side)| side.parts.len() > 1) else { return };
    text.push_str("\nsucceeded, of what came in\n");
    for (place, part) in first.parts.iter().enumerate() {
        write!(text, "  {:<30}", part.phase).ok();
        let rates = columns.iter().filter_map(|(_, side)| side.parts.get(place));
        rates.for_each(|part| text.push_str(&format!("{:>14}", shown("success_rate", part.success_rate))));
        text.push('\n');
    }
}

/// Success of each tenant, where they are told apart: at all, and in each phase.
fn tenants(text: &mut String, columns: &[(&str, &Side)]) {
    let Some((_, first)) = columns.first().filter(|(_, side)| !side.tenants.is_empty()) else { return };
    text.push_str("\nsucceeded, by tenant\n");
    for tenant in &first.tenants {
        let phases = tenant.parts.iter().map(|part| Some(part.phase.as_str()));
        for phase in [None].into_iter().chain(phases) {
            let label = phase.map_or_else(|| format!("  {}", tenant.tenant), |phase| format!("    {phase}"));
            write!(text, "{label:<32}").ok();
            let parts = columns.iter().filter_map(|(_, side)| side.part_of(&tenant.tenant, phase));
            parts.for_each(|part| text.push_str(&format!("{:>14}", shown("success_rate", part.success_rate))));
            text.push('\n');
        }
    }
}

fn verdicts(text: &mut String, outcome: &Outcome) {
    if outcome.off.is_some() && !outcome.failures.is_empty() {
        text.push_str("\nwithout protection\n");
        for failure in &outcome.failures {
            let mark = if failure.seen { "seen    " } else { "not seen" };
            writeln!(text, "  {mark}  {} ({})", failure.name, failure.detail).ok();
        }
    }
    text.push_str("\nprotected\n");
    for promise in &outcome.promises {
        let mark = if promise.held { "kept    " } else { "BROKEN  " };
        writeln!(text, "  {mark}  {} ({})", promise.name, promise.detail).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Promise, names};

    fn outcome() -> Outcome {
        Outcome {
            scenario: "s".into(),
            title: "t".into(),
            story: String::new(),
            factor: 120.0,
            seed: 0,
            terms: Vec::new(),
            off: None,
            on: Side { offered: 7, ..Side::default() },
            failures: Vec::new(),
            promises: vec![Promise { name: "no update is lost".into(), held: false, detail: String::new() }],
        }
    }

    #[test]
    fn every_row_is_a_figure() {
        let names = names(&Side::default());
        for (key, _) in ROWS {
            assert!(names.contains(&key.to_owned()), "{key}");
        }
    }

    #[test]
    fn what_could_not_be_played_here_is_told_above_all_figures() {
        let left_out = (LEFT_OUT.to_owned(), "Redis is not taken away".to_owned());
        let outcome = Outcome { terms: vec![("workers".into(), "10".into()), left_out], ..outcome() };
        let text = table(&outcome);
        let place = |words: &str| text.find(words).unwrap_or_else(|| panic!("{words} is not in {text}"));
        assert!(place("left out: Redis is not taken away") < place("answered in time"), "{text}");
        assert!(!text.contains("workers: 10"), "{text}");
    }

    #[test]
    fn whose_configuration_was_played_is_told_above_all_figures() {
        let terms = [("configuration", "own.toml"), ("not as configured", "left out: mcp")];
        let terms = terms.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let text = table(&Outcome { terms, ..outcome() });
        let line = |words: &str| text.lines().position(|line| line.contains(words)).unwrap_or_else(|| panic!("{text}"));
        assert!(
            line("own.toml") < line("answered in time") && line("left out: mcp") < line("answered in time"),
            "{text}"
        );
    }

    #[test]
    fn a_broken_promise_is_seen_at_once() {
        let text = table(&outcome());
        assert!(text.contains("BROKEN    no update is lost") && text.contains("120 times"), "{text}");
        let lost = text.lines().find(|line| line.starts_with("updates lost")).expect("a row");
        assert!(lost.ends_with('–'), "what nobody looked at is not 0: {lost}");
    }
}
