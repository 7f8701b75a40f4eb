//! Where a setting was written. A side's `holdfast.toml` is laid together from several places, and whoever made a mistake made
//! it in one of them: that one is named, with its line.

use holdfast_config::ConfigError;
use toml::de::{DeTable, DeValue};

use super::{Scenario, Which};

/// A text that settings came from.
#[derive(Debug, Clone, Default)]
pub struct Written {
    /// The file, or what else it is called.
    pub origin: String,
    /// The text.
    pub text: String,
}

/// A setting within a text, by its dotted key there.
#[derive(Debug)]
struct Found {
    /// How many parts of the key are there.
    parts: usize,
    line: usize,
}

/// A place where a setting can have been written.
struct Place<'a> {
    written: &'a Written,
    /// Its key there.
    key: String,
    /// How many parts of that name the place, where what is missing is told at what it is missing in; None where the place
    /// counts only if the setting itself stands there.
    before: Option<usize>,
}

impl Scenario {
    /// Gives what is wrong with a side's settings its place: the most special of those in which it stands.
    pub(super) fn placed(&self, which: Which, problem: ConfigError) -> ConfigError {
        let nowhere = ConfigError { origin: self.name.clone(), line: None, ..problem.clone() };
        let Some(key) = &problem.key else { return nowhere };
        let (mut best, mut placed) = (0, nowhere);
        for place in self.places(which, key) {
            let Some(found) = place.written.find(&place.key) else { continue };
            let matched = match place.before {
                _ if found.parts == place.key.split('.').count() => usize::MAX,
                Some(before) => found.parts.saturating_sub(before),
                None => 0,
            };
            if matched > best {
                let (origin, line) = (place.written.origin.clone(), Some(found.line));
                (best, placed) =
                    (matched, ConfigError { origin, line, key: Some(place.key), why: problem.why.clone() });
            }
        }
        placed
    }

    /// Where a setting of a side can have been written, the most special place first.
    fn places(&self, which: Which, key: &str) -> Vec<Place<'_>> {
        let side = which.name();
        let under = |prefix: &str| {
            let (key, before) = (format!("{prefix}.{key}"), prefix.split('.').count());
            Place { written: &self.written, key, before: Some(before) }
        };
        let quick = self.is_quick.then(|| under("quick.settings"));
        let mut places = vec![under(&format!("{side}.settings"))];
        places.extend(quick);
        places.push(under("settings"));
        if let Some(own) = &self.played {
            let of_one = |section: &str| Some(key.strip_prefix(section)?.split_once('.')?.1);
            let laid = [
                of_one("tools.").map(|key| format!("own.{side}.tool.{key}")),
                of_one("providers.").map(|key| format!("own.{side}.provider.{key}")),
                of_one("simulator.tools.").and_then(|key| Some(format!("own.tool.{}", key.strip_prefix("faults.")?))),
                key.strip_prefix("simulator.faults.").map(|key| format!("own.model.{key}")),
            ];
            let laid = laid.into_iter().flatten().map(|key| Place { written: &self.written, key, before: None });
            places.extend(laid);
            places.push(Place { written: &own.written, key: key.to_owned(), before: Some(0) });
        }
        places
    }
}

impl Written {
    /// Where a key is, or as much of it as there is.
    fn find(&self, key: &str) -> Option<Found> {
        let root = DeTable::parse(&self.text).ok()?;
        let (mut table, mut found, mut parts) = (root.get_ref(), None, 0);
        for part in key.split('.') {
            // `keys[2]` is the third of them.
            let (name, places) = part.split_once('[').unwrap_or((part, ""));
            let Some((name, value)) = table.get_key_value(name) else { break };
            parts += 1;
            let (mut start, mut value) = (name.span().start, value);
            for place in places.split('[').filter_map(|place| place.trim_end_matches(']').parse::<usize>().ok()) {
                let Some(item) = value.get_ref().as_array().and_then(|items| items.get(place)) else { break };
                (start, value) = (item.span().start, item);
            }
            found = Some(Found { parts, line: self.text[..start.min(self.text.len())].matches('\n').count() + 1 });
            match value.get_ref() {
                DeValue::Table(inner) => table = inner,
                _ => break,
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const DAY_FOUR: &str = include_str!("../../scenarios/day-four.toml");
    const TEN_TIMES: &str = include_str!("../../scenarios/ten-times.toml");

    fn told(scenario: &Scenario, which: Which, key: &str) -> String {
        let origin = "composed".to_owned();
        scenario
            .placed(which, ConfigError { origin, line: Some(1), key: Some(key.into()), why: "no".into() })
            .to_string()
    }

    fn line(text: &str, of: &str) -> usize {
        text.lines().position(|line| line.starts_with(of)).unwrap_or_else(|| panic!("{of} is not there")) + 1
    }

    #[test]
    fn a_setting_is_told_where_it_was_written_and_by_its_key_there() {
        let scenario = Scenario::parse("mine.toml", DAY_FOUR).expect("it holds");
        let attempts = line(DAY_FOUR, "[on.settings.queue]");
        let told_on = told(&scenario, Which::On, "queue.backoff_max");
        assert!(
            told_on.starts_with("mine.toml:") && told_on.contains(": on.settings.queue.backoff_max: no"),
            "{told_on}"
        );
        let line_on: usize = told_on.split(':').nth(1).and_then(|line| line.parse().ok()).expect("a line");
        assert!(line_on > attempts, "{told_on}");
        let both = told(&scenario, Which::Off, "gateway.extra_agents");
        let wanted = format!("mine.toml:{}: settings.gateway.extra_agents: no", line(DAY_FOUR, "extra_agents"));
        assert_eq!(both, wanted);
    }

    #[test]
    fn what_is_missing_is_told_at_what_it_is_missing_in() {
        let scenario = Scenario::parse("mine.toml", DAY_FOUR).expect("it holds");
        let told = told(&scenario, Which::On, "models.rehearsed.deploymnets");
        assert!(told.starts_with(&format!("mine.toml:{}: ", line(DAY_FOUR, "[settings.models.rehearsed]"))), "{told}");
        let nowhere =
            ConfigError { origin: String::new(), line: Some(3), key: Some("redis.url".into()), why: "no".into() };
        assert_eq!(scenario.placed(Which::On, nowhere).to_string(), "day-four: redis.url: no");
    }

    #[test]
    fn of_somebodys_own_settings_those_that_the_scenario_lays_over_are_told_as_the_scenarios() {
        let own = "[agents.a]\nmodel = \"m\"\n\n[providers.p]\nkeys = [{ name = \"one\" },\n    { name = \"two\" }]\n\n[tools.t]\nattempts = 3\n";
        let written = Written { origin: "own.toml".into(), text: own.into() };
        let scenario = Scenario::parse("ten.toml", TEN_TIMES).expect("it holds").of_own(written, Path::new("."));
        assert_eq!(told(&scenario, Which::On, "tools.t.attempts"), "own.toml:9: tools.t.attempts: no");
        assert_eq!(told(&scenario, Which::On, "providers.p.keys[1].name"), "own.toml:6: providers.p.keys[1].name: no");
        let off = told(&scenario, Which::Off, "tools.t.attempts");
        assert!(off.starts_with("ten.toml:") && off.contains("own.off.tool.attempts"), "{off}");
        let fault = told(&scenario, Which::On, "simulator.tools.t.faults.hang_rate");
        assert!(
            fault.starts_with(&format!("ten.toml:{}: own.tool.hang_rate", line(TEN_TIMES, "hang_rate"))),
            "{fault}"
        );
    }
}
