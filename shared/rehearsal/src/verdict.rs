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

/// Whether it is so, for each tenant that is named.
fn judge(wanted: &Wanted, side: &Side) -> (bool, String) {
    if wanted.tenants.is_empty() {
        return judge_of(None, wanted, side);
    }
    let each = wanted.tenants.iter().map(|tenant| judge_of(Some(tenant), wanted, side));
    let (held, details): (Vec<_>, Vec<_>) = each.unzip();
    (held.iter().all(|held| *held), details.join("; "))
}

/// Whether a figure is within its bounds, and what it is. What nothing came to keeps no promise, nor does what nobody knows,
/// nor a multiple of nothing.
fn judge_of(tenant: Option<&str>, wanted: &Wanted, side: &Side) -> (bool, String) {
    let (figure, offered) = found(wanted, tenant, wanted.phase.as_deref(), side);
    let base = wanted.times_of.as_deref().map(|phase| found(wanted, tenant, Some(phase), side).0);
    let bound = |times: f64| base.map_or(Some(times), |base| base.filter(|base| *base > 0.0).map(|base| base * times));
    let holds = figure.is_some_and(|figure| {
        offered > 0
            && wanted.at_least.is_none_or(|least| bound(least).is_some_and(|least| figure >= least))
            && wanted.at_most.is_none_or(|most| bound(most).is_some_and(|most| figure <= most))
    });
    let shown = |figure: Option<f64>| figure.map_or("not known".to_owned(), |figure| shown(&wanted.figure, figure));
    let beside = wanted.times_of.as_ref().zip(base).map(|(phase, base)| format!(", and {} in {phase:?}", shown(base)));
    let within = wanted.phase.as_ref().map(|phase| format!(" in {phase:?}")).unwrap_or_default();
    let (figure, beside) = (shown(figure), beside.unwrap_or_default());
    let of = tenant.map(|tenant| format!("{tenant}: ")).unwrap_or_default();
    let name = wanted.figure.replace('_', " ");
    (holds, format!("{of}{name} is {figure}{within}{beside}, of {offered} invocations"))
}

/// A figure, and of how many invocations it is.
fn found(wanted: &Wanted, tenant: Option<&str>, phase: Option<&str>, side: &Side) -> (Option<f64>, u64) {
    let part = match (tenant, phase) {
        (None, None) => return (side.figures().get(&wanted.figure).copied(), side.offered),
        (None, Some(phase)) => side.part(phase),
        (Some(tenant), phase) => side.part_of(tenant, phase),
    };
    let part = part.cloned().unwrap_or_default();
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
    use crate::outcome::{Part, Tenant};

    fn wanted(figure: &str, at_least: Option<f64>, at_most: Option<f64>) -> Vec<Wanted> {
        let (phase, times_of, tenants) = (None, None, Vec::new());
        vec![Wanted { name: "it".into(), figure: figure.into(), phase, tenants, times_of, at_least, at_most }]
    }

    #[test]
    fn a_promise_holds_within_its_bounds_only() {
        let side = Side { offered: 1_000, success_rate: 0.9989, lost_updates: Some(1), ..Side::default() };
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
        let nothing = Side { offered: 18, parts: vec![part("full", 0.0), part("surge", 8.9)], ..Side::default() };
        let multiple = Wanted {
            phase: Some("surge".into()),
            times_of: Some("full".into()),
            ..wanted("goodput_per_second", Some(0.9), None)[0].clone()
        };
        assert!(!promises(&[multiple], &nothing)[0].held, "every figure is a multiple of nothing");
        let nowhere = Wanted { phase: Some("never".into()), ..wanted("refusals", None, Some(0.0))[0].clone() };
        assert!(!promises(&[nowhere], &side)[0].held, "of nothing nothing is promised");
    }

    #[test]
    fn what_is_promised_to_tenants_holds_for_each_of_them() {
        let part =
            |phase: &str, success_rate| Part { phase: phase.into(), offered: 5, success_rate, ..Part::default() };
        let tenant = |name: &str, whole, flood| Tenant {
            tenant: name.into(),
            whole: part("", whole),
            parts: vec![part("flood", flood)],
        };
        let tenants = vec![tenant("desk", 1.0, 1.0), tenant("shop", 1.0, 0.8), tenant("crawler", 0.2, 0.1)];
        // All callers together would keep no promise, and break none to the quiet ones.
        let side = Side { offered: 15, success_rate: 0.5, tenants, ..Side::default() };
        let [plain] = &wanted("success_rate", Some(0.9), None)[..] else { unreachable!("it is one") };
        let held = |names: &[&str], phase: Option<&str>| {
            let tenants = names.iter().map(|name| (*name).to_owned()).collect();
            promises(&[Wanted { tenants, phase: phase.map(Into::into), ..plain.clone() }], &side)[0].clone()
        };
        assert!(held(&["desk", "shop"], None).held && held(&["desk"], Some("flood")).held);
        let broken = held(&["desk", "shop"], Some("flood"));
        assert!(!broken.held && broken.detail.contains("shop: success rate is 80.00%"), "{}", broken.detail);
        assert!(!held(&["crawler"], None).held && !held(&["nobody"], None).held && !held(&[], None).held);
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
