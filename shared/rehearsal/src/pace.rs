//! How much faster than the day a rehearsal runs: one factor, for all of it alike.

use std::time::Duration;

use holdfast_config::Span;
use toml::{Table, Value};

/// By what all times are divided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace(pub f64);

impl Pace {
    /// A time of the day, as it is here.
    pub fn here(self, time: Duration) -> Duration {
        time.div_f64(self.0)
    }

    /// Settings of the day, as they are here: every text in them that is a span of time and nothing else is divided. What a
    /// scenario does not set keeps its own pace.
    pub fn settings(self, settings: &mut Table) {
        settings.iter_mut().for_each(|(_, value)| self.value(value));
    }

    fn value(self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Ok(span) = humantime::parse_duration(text) {
                    *text = Span(whole_micros(self.here(span))).to_string();
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.value(value)),
            Value::Table(table) => self.settings(table),
            _ => {}
        }
    }
}

/// Nothing here is told apart by less.
fn whole_micros(time: Duration) -> Duration {
    Duration::from_micros(time.as_micros() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_span_is_divided_and_nothing_else_is_touched() {
        let text = r#"
            url = "simulator:/tools/a"
            size = "1MiB"
            timeout = "1m"
            tries = 5
            faults = { hang_for = "30s", hang_rate = 0.02 }
            chain = [{ max_age = "8h" }]
        "#;
        let mut settings: Table = text.parse().expect("it is TOML");
        Pace(120.0).settings(&mut settings);
        assert_eq!(settings["timeout"].as_str(), Some("500ms"));
        assert_eq!(settings["faults"]["hang_for"].as_str(), Some("250ms"));
        assert_eq!(settings["chain"][0]["max_age"].as_str(), Some("4m"));
        assert_eq!((settings["size"].as_str(), settings["tries"].as_integer()), (Some("1MiB"), Some(5)));
        assert_eq!(settings["url"].as_str(), Some("simulator:/tools/a"));
    }
}
