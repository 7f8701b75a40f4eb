//! Where metrics are pushed to and how often, as the environment says in OpenTelemetry's variables. Source:
//! <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>

use std::time::Duration;

use crate::{
    TelemetryError,
    collector::{self, Collector, Signal},
};

/// Between two pushes.
const EVERY: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) collector: Collector,
    pub(super) every: Duration,
}

impl Settings {
    /// None where nobody wants metrics.
    pub(super) fn from_environment() -> Result<Option<Self>, TelemetryError> {
        Self::read(collector::environment)
    }

    fn read(variables: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, TelemetryError> {
        let Some(collector) = Collector::read(Signal::Metrics, &variables)? else { return Ok(None) };
        let every = collector::set(&variables, "OTEL_METRIC_EXPORT_INTERVAL");
        Ok(Some(Self { collector, every: every.and_then(|text| collector::millis(&text)).unwrap_or(EVERY) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pushes_come_as_often_as_is_asked_for() {
        let every = |said: Option<&str>| {
            let variable = |name: &str| match name {
                "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT" => Some("http://a:1".to_owned()),
                "OTEL_METRIC_EXPORT_INTERVAL" => said.map(str::to_owned),
                _ => None,
            };
            Settings::read(variable).unwrap().expect("an endpoint is named").every
        };
        assert_eq!(every(Some("1500")), Duration::from_millis(1500));
        for none in [None, Some("0"), Some("often")] {
            assert_eq!(every(none), EVERY, "a push without an end would be no interval: {none:?}");
        }
    }
}
