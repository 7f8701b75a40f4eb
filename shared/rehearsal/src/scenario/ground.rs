//! What a scenario becomes on the machine where it is played.

use toml::Table;

use super::{Phase, Scenario, Wanted, lay_over};
use crate::away::Away;
use crate::stores::Store;

impl Scenario {
    /// The same without what would be taken away and is not there, and without what is promised of that alone.
    #[must_use]
    pub(crate) fn without(mut self, missing: &[Store]) -> Self {
        let is_missing = |phase: &Phase| {
            let mut stores = [phase.take, phase.after].into_iter().flatten().filter_map(Away::store);
            stores.any(|store| missing.contains(&store))
        };
        self.phases.retain(|phase| !is_missing(phase));
        self.judge_what_is_played();
        self
    }

    /// Leaves out what is wanted of phases that are left out.
    pub(super) fn judge_what_is_played(&mut self) {
        let is_played = |text: &Option<String>| {
            text.as_ref().is_none_or(|text| self.phases.iter().any(|phase| phase.text == *text))
        };
        let is_meant = |wanted: &Wanted| is_played(&wanted.phase) && is_played(&wanted.times_of);
        self.failures.retain(is_meant);
        self.promises.retain(is_meant);
    }

    /// The same on a mesh that has these settings, whatever the scenario says of them.
    #[must_use]
    pub(crate) fn with(mut self, settings: &Table) -> Self {
        for manner in [&mut self.off, &mut self.on] {
            lay_over(&mut manner.settings, settings);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::super::Which;
    use super::*;

    #[test]
    fn what_is_not_there_is_neither_taken_nor_given_back_nor_is_anything_promised_of_it() {
        let whole = Scenario::find("blackout").expect("it is built in");
        let of = |scenario: &Scenario, words: &str| {
            let phases = scenario.phases.iter().map(|phase| phase.text.clone());
            let promises = scenario.promises.iter().filter_map(|promise| promise.phase.clone());
            phases.chain(promises).filter(|text| text.contains(words)).count()
        };
        assert!(of(&whole, "PostgreSQL") > 1 && of(&whole, "Redis") > 1);
        let without = whole.clone().without(&[Store::Postgres]);
        assert_eq!((of(&without, "PostgreSQL"), of(&without, "Redis")), (0, of(&whole, "Redis")));
        assert_eq!(without.check(crate::Terms::default()), Ok(()));
        assert_eq!(without.quick().check(crate::Terms::default()), Ok(()));
        let neither = whole.clone().without(&[Store::Postgres, Store::Redis]);
        assert_eq!((of(&neither, "Redis"), of(&neither, "is gone")), (0, of(&neither, " is gone")));
        assert!(neither.phases.len() + 4 == whole.phases.len());
    }

    #[test]
    fn both_sides_stand_on_the_same() {
        let url = "[database]\nurl = \"postgres://me@127.0.0.1:1/x\"\n".parse().expect("it is TOML");
        let scenario = Scenario::find("blackout").expect("it is built in").with(&url);
        for which in [Which::Off, Which::On] {
            let settings: Table = scenario.configuration(which, 1).parse().expect("it is TOML");
            assert_eq!(settings["database"]["url"].as_str(), Some("postgres://me@127.0.0.1:1/x"));
        }
    }
}
