//! Whose callers come, how many of each, and the keys by which a mesh knows them apart.

use std::collections::BTreeSet;

use holdfast_config::Invalid;
use toml::{Table, Value};

use super::{Phase, Scenario, Which};
use crate::day::Terms;
use crate::own::table;

/// A tenant's key. It keeps nobody out who could come in otherwise: a mesh of a rehearsal's own listens on loopback, for as
/// long as the rehearsal takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    tenant: String,
    /// The variable in the mesh's environment that holds it.
    pub(crate) variable: String,
    /// What callers show.
    pub(crate) secret: String,
}

impl Key {
    fn of(tenant: &str) -> Self {
        let variable = format!("REHEARSAL_KEY_OF_{}", tenant.to_uppercase());
        Self { tenant: tenant.to_owned(), variable, secret: format!("rehearsal-key-of-{tenant}") }
    }

    /// Its entry among the gateway's. Agents ask models in the name of the tenant for whom they work.
    fn entry(&self) -> Value {
        let reference = format!("env:{}", self.variable);
        let pairs = [("name", self.tenant.as_str()), ("key", &reference), ("tenant", &self.tenant), ("role", "worker")];
        Value::Table(pairs.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect())
    }
}

impl Scenario {
    /// Those that come, by number; all callers are one where the scenario names none.
    pub(crate) fn callers(&self) -> usize {
        self.tenants.len().max(1)
    }

    /// The keys of a side, by the tenant's number; none where it does not know them apart.
    pub(crate) fn keys(&self, which: Which) -> Vec<Key> {
        let known = self.tenants.iter().filter(|_| self.manner(which).knows_tenants);
        known.map(|tenant| Key::of(&tenant.name)).collect()
    }

    /// What each tenant's callers show: its key, or else what all show.
    pub(crate) fn shown(&self, which: Which, by_all: &str) -> Vec<String> {
        let keys = self.keys(which);
        let shown = |number: usize| keys.get(number).map_or_else(|| by_all.to_owned(), |key| key.secret.clone());
        (0..self.callers()).map(shown).collect()
    }

    /// A day's invocations of each tenant, at a phase's pace.
    pub(crate) fn paces(&self, phase: &Phase, terms: Terms) -> Vec<f64> {
        let base = phase.a_day.unwrap_or_else(|| terms.volume.unwrap_or(self.volume.a_day)) as f64;
        let times = if phase.times { terms.times.unwrap_or(self.volume.times) } else { 1.0 };
        if self.tenants.is_empty() {
            return vec![base * times];
        }
        let all: f64 = self.tenants.iter().map(|tenant| tenant.share).sum();
        let comes_more = |name: &str| phase.of.as_ref().is_none_or(|of| of == name);
        let times = |name: &str| if comes_more(name) { times } else { 1.0 };
        self.tenants.iter().map(|tenant| base * tenant.share / all * times(&tenant.name)).collect()
    }

    /// The keys of a side among the settings of its gateway.
    pub(super) fn put_keys(&self, which: Which, settings: &mut Table) {
        let keys: Vec<_> = self.keys(which).iter().map(Key::entry).collect();
        if !keys.is_empty() {
            table(settings, "gateway").insert("keys".into(), keys.into());
        }
    }

    /// Whether what the scenario says of tenants holds.
    pub(super) fn check_tenants(&self) -> Result<(), Invalid> {
        let invalid = |key: &str, why: &str| Err(Invalid::new(key, why));
        let names: BTreeSet<_> = self.tenants.iter().map(|tenant| tenant.name.as_str()).collect();
        let is_plain = |name: &str| {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        };
        if names.len() < self.tenants.len() || !names.iter().all(|name| is_plain(name)) {
            return invalid("tenants", "must have names of their own, of small letters, digits and _");
        }
        if !self.tenants.iter().all(|tenant| tenant.share > 0.0 && tenant.share.is_finite()) {
            return invalid("tenants", "share must be more than nothing");
        }
        if self.wants_own() && !self.tenants.is_empty() {
            return invalid("tenants", "cannot be told apart among somebody's own agents");
        }
        for (side, manner) in [("off", &self.off), ("on", &self.on)] {
            if manner.knows_tenants && self.tenants.is_empty() {
                return invalid(side, "knows_tenants, and there are none");
            }
        }
        let is_of = |phase: &Phase| phase.of.as_ref().is_none_or(|of| phase.times && names.contains(of.as_str()));
        if !self.phases.iter().all(is_of) {
            return invalid("phases", "of must be the name of a tenant, whose share comes times as often");
        }
        for (list, wanted) in [("failures", &self.failures), ("promises", &self.promises)] {
            if !wanted.iter().flat_map(|wanted| &wanted.tenants).all(|tenant| names.contains(tenant.as_str())) {
                return invalid(list, "tenants must be names of tenants");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOISY: &str = include_str!("../../scenarios/noisy-tenant.toml");

    #[test]
    fn one_side_knows_tenants_by_keys_that_stand_in_no_settings_and_the_other_has_none() {
        let scenario = Scenario::parse("s.toml", NOISY).expect("it holds");
        let settings = |which| scenario.configuration(which, 4).parse::<Table>().expect("it is TOML");
        assert!(settings(Which::Off)["gateway"].get("keys").is_none());
        assert_eq!(scenario.shown(Which::Off, "by all"), ["by all"; 4]);
        let (on, keys) = (settings(Which::On), scenario.keys(Which::On));
        let entries = on["gateway"]["keys"].as_array().expect("a list");
        assert_eq!((entries.len(), keys.len()), (4, 4));
        for (entry, key) in entries.iter().zip(&keys) {
            assert_eq!(entry["key"].as_str(), Some(&*format!("env:{}", key.variable)));
            assert!(!on.to_string().contains(&key.secret), "{}", key.secret);
        }
        let shown = scenario.shown(Which::On, "by all");
        assert_eq!(shown.iter().collect::<BTreeSet<_>>().len(), 4, "each has its own: {shown:?}");
    }

    #[test]
    fn a_tenant_that_is_not_known_is_named_with_its_key() {
        for (from, into, key) in [
            ("name = \"shop\"", "name = \"desk\"", "tenants"),
            ("name = \"shop\"", "name = \"Shop!\"", "tenants"),
            ("name = \"shop\"", "name = \"shop\"\nshare = 0.0", "tenants"),
            ("of = \"crawler\"", "of = \"nobody\"", "phases"),
            ("tenants = [\"crawler\"]\nat_most", "tenants = [\"nobody\"]\nat_most", "failures"),
            ("tenants = [\"crawler\"]\nat_least", "tenants = [\"nobody\"]\nat_least", "promises"),
        ] {
            assert!(NOISY.contains(from), "{from}");
            let error = Scenario::parse("s.toml", &NOISY.replace(from, into)).expect_err(into).to_string();
            assert!(error.contains(&format!("{key}: ")), "{into}: {error}");
        }
    }

    #[test]
    fn shares_are_parts_of_what_comes_and_a_flood_multiplies_one_of_them() {
        let text = NOISY.replace("name = \"desk\"\n", "name = \"desk\"\nshare = 3\n");
        let scenario = Scenario::parse("s.toml", &text).expect("it holds");
        let paces = |phase: usize| scenario.paces(&scenario.phases[phase], Terms::default());
        assert_eq!(paces(0), [6_000.0, 2_000.0, 2_000.0, 2_000.0]);
        assert_eq!(paces(1), [6_000.0, 2_000.0, 2_000.0, 200_000.0]);
    }
}
