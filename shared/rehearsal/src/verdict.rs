//! Whether what was wanted of a side is so: failures to be seen on the one, promises to be kept on the other.

use crate::outcome::{Promise, Seen, Side};
use crate::scenario::Wanted;

/// Whether each failure was seen.
pub(crate) fn failures(wanted: &[Wanted], side: &Side) -> Vec<Seen> {
    let seen = |wanted: &Wanted| {
        let (seen, detail) = judge(wanted, side);
        Seen { name: wanted.name.clone(), seen, detail }
    };
    wanted.iter().map(seen).collect()
}

/// Whether each promise held.
pub(crate) fn promises(wanted: &[Wanted], side: &Side) -> Vec<Promise> {
    let kept = |wanted: &Wanted| {
        let (held, detail) = judge(wanted, side);
        Promise { name: wanted.name.clone(), held, detail }
    };
    wanted.iter().map(kept).collect()
}

/// Whether a figure is within its bounds, and what it is. What nothing came to keeps no promise.
fn judge(wanted: &Wanted, side: &Side) -> (bool, String) {
    let (figure, offered) = found(wanted, wanted.phase.as_deref(), side);
    let base = wanted.times_of.as_deref().map(|phase| found(wanted, Some(phase), side).0);
    let bound = |times: f64| base.map_or(Some(times), |base| Some(base? * times));
    let holds = figure.is_some_and(|figure| {
        offered > 0
            && wanted.at_least.is_none_or(|least| bound(least).is_some_and(|least| figure >= least))
            && wanted.at_most.is_none_or(|most| bound(most).is_some_and(|most| figure <= most))
    });
    let shown = |figure: Option<f64>| figure.map_or("nothing".to_owned(), |figure| shown(&wanted.figure, figure));
    let beside = wanted.times_of.as_ref().zip(base).map(|(phase, base)| format!(", and {} in {phase:?}", shown(base)));
    let within = wanted.phase.as_ref().map(|phase| format!(" in {phase:?}")).unwrap_or_default();
    let (figure, beside) = (shown(figure), beside.unwrap_or_default());
    let name = wanted.figure.replace('_', " ");
    (holds, format!("{name} is {figure}{within}{beside}, of {offered} invocations"))
}

/// A figure, and of how many invocations it is.
fn found(wanted: &Wanted, phase: Option<&str>, side: &Side) -> (Option<f64>, u64) {
    let Some(phase) = phase else { return (side.figures().get(&wanted.figure).copied(), side.offered) };
    let part = side.part(phase).cloned().unwrap_or_default();
    (part.figures().get(&wanted.figure).copied(), part.offered)
}

/// A figure for people.
pub(crate) fn shown(name: &str, figure: f64) -> String {
    match name {
        _ if name.ends_with("_rate") => percent(figure),
        _ if figure.fract() == 0.0 => format!("{figure:.0}"),
        _ => format!("{figure:.1}"),
    }
}

/// Never rounded up: 99.99% is not 100%.
fn percent(rate: f64) -> String {
    format!("{:.2}%", (rate * 1e4).floor() / 1e2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Part;

    fn wanted(figure: &str, at_least: Option<f64>, at_most: Option<f64>) -> Vec<Wanted> {
        vec![Wanted { name: "it".into(), figure: figure.into(), phase: None, times_of: None, at_least, at_most }]
    }

    #[test]
    fn a_promise_holds_within_its_bounds_only() {
        let side = Side { offered: 1_000, success_rate: 0.9989, lost_updates: 1, ..Side::default() };
        let held = |wanted: Vec<Wanted>| promises(&wanted, &side)[0].held;
        assert!(!held(wanted("success_rate", Some(0.999), None)) && held(wanted("success_rate", Some(0.99), None)));
        assert!(!held(wanted("lost_updates", None, Some(0.0))) && held(wanted("lost_updates", None, Some(1.0))));
        assert!(failures(&wanted("lost_updates", Some(1.0), None), &side)[0].seen);
    }

    #[test]
    fn a_phase_is_measured_by_another() {
        let part = |phase: &str, goodput_per_second| Part {
            phase: phase.into(),
            offered: 9,
            goodput_per_second,
            ..Part::default()
        };
        let side = Side { offered: 18, parts: vec![part("full", 10.0), part("surge", 8.9)], ..Side::default() };
        let held = |times| {
            let phases = (Some("surge".to_owned()), Some("full".to_owned()));
            let [wanted] = &wanted("goodput_per_second", Some(times), None)[..] else { unreachable!("it is one") };
            promises(&[Wanted { phase: phases.0, times_of: phases.1, ..wanted.clone() }], &side)[0].held
        };
        assert!(held(0.88) && !held(0.9));
        let nowhere = Wanted { phase: Some("never".into()), ..wanted("refusals", None, Some(0.0))[0].clone() };
        assert!(!promises(&[nowhere], &side)[0].held, "of nothing nothing is promised");
    }

    #[test]
    fn a_side_that_nothing_came_to_keeps_no_promise() {
        assert!(!promises(&wanted("lost_updates", None, Some(0.0)), &Side::default())[0].held);
    }

    #[test]
    fn nearly_all_is_not_all() {
        assert_eq!(
            (percent(0.99999), percent(1.0), percent(0.71)),
            ("99.99%".into(), "100.00%".into(), "71.00%".into())
        );
    }
}
