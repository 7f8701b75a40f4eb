//! Where metrics are pushed to, as the environment says in OpenTelemetry's variables. Source:
//! <https://opentelemetry.io/docs/specs/otel/protocol/exporter/> and
//! <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>

use std::{str::FromStr as _, time::Duration};

use tonic::{
    metadata::{Ascii, MetadataKey, MetadataMap, MetadataValue},
    transport::Endpoint,
};

use crate::TelemetryError;

/// Between two pushes.
const EVERY: Duration = Duration::from_secs(60);
/// For one push to be answered.
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) endpoint: Endpoint,
    pub(super) headers: MetadataMap,
    pub(super) every: Duration,
    pub(super) timeout: Duration,
}

impl Settings {
    /// None where nobody wants metrics: no endpoint is named, or another exporter than OTLP.
    pub(super) fn from_environment() -> Result<Option<Self>, TelemetryError> {
        Self::read(|name| std::env::var(name).ok())
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, TelemetryError> {
        // What is empty counts as not set.
        let set = |name: &str| variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let otlp = |name: &str| {
            set(&format!("OTEL_EXPORTER_OTLP_METRICS_{name}")).or_else(|| set(&format!("OTEL_EXPORTER_OTLP_{name}")))
        };
        if set("OTEL_METRICS_EXPORTER").is_some_and(|exporters| exporters.split(',').all(|one| one.trim() != "otlp")) {
            return Ok(None);
        }
        let Some(endpoint) = otlp("ENDPOINT") else { return Ok(None) };
        let timeout = otlp("TIMEOUT").and_then(|text| millis(&text)).unwrap_or(TIMEOUT);
        Ok(Some(Self {
            endpoint: self::endpoint(&endpoint)?.connect_timeout(timeout),
            headers: headers(&otlp("HEADERS").unwrap_or_default())?,
            every: set("OTEL_METRIC_EXPORT_INTERVAL").and_then(|text| millis(&text)).unwrap_or(EVERY),
            timeout,
        }))
    }
}

fn endpoint(url: &str) -> Result<Endpoint, TelemetryError> {
    let wrong = |why: &str| TelemetryError::Metrics(format!("the OTLP endpoint {why}"));
    let endpoint = Endpoint::from_str(url).map_err(|_| wrong("is no URL"))?;
    match endpoint.uri().scheme_str() {
        Some("http") => Ok(endpoint),
        _ => Err(wrong("must begin with http://: to a collector on another machine, another one on this goes before")),
    }
}

/// As in the specification: `name=value,name=value`, each percent-encoded. They may hold keys, so nothing shows them.
fn headers(text: &str) -> Result<MetadataMap, TelemetryError> {
    let mut headers = MetadataMap::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (name, value) = header(pair)
            .ok_or_else(|| TelemetryError::Metrics("the OTLP headers must read name=value,name=value".into()))?;
        headers.insert(name, value);
    }
    Ok(headers)
}

fn header(pair: &str) -> Option<(MetadataKey<Ascii>, MetadataValue<Ascii>)> {
    let (name, value) = pair.split_once('=')?;
    let value = percent_encoding::percent_decode_str(value.trim()).decode_utf8().ok()?;
    let mut value = MetadataValue::try_from(&*value).ok()?;
    value.set_sensitive(true);
    Some((MetadataKey::from_str(name.trim()).ok()?, value))
}

/// Milliseconds; as the specification wants, what is no number is as if it was not set.
fn millis(text: &str) -> Option<Duration> {
    text.parse().ok().filter(|millis| *millis > 0).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<Settings>, TelemetryError> {
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name);
        Settings::read(|name| find(name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn nothing_is_pushed_unless_an_endpoint_is_named() {
        assert!(read(&[]).unwrap().is_none());
        assert!(read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]).unwrap().is_none());
        assert!(read(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://a:1")]).unwrap().is_none());
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:1");
        assert!(read(&[endpoint, ("OTEL_METRICS_EXPORTER", "none")]).unwrap().is_none());
        assert!(read(&[endpoint, ("OTEL_METRICS_EXPORTER", "prometheus, otlp")]).unwrap().is_some());
        assert!(read(&[endpoint]).unwrap().is_some());
    }

    #[test]
    fn what_is_said_of_metrics_goes_before_what_is_said_of_all() {
        let settings = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:1"),
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://metrics:2"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "5"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "1500"),
        ]);
        let settings = settings.unwrap().unwrap();
        assert_eq!(settings.endpoint.uri().authority().unwrap(), "metrics:2");
        assert_eq!((settings.every, settings.timeout), (Duration::from_millis(1500), Duration::from_millis(5)));
        let odd = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:1"), ("OTEL_METRIC_EXPORT_INTERVAL", "0")];
        assert_eq!(read(&odd).unwrap().unwrap().every, EVERY, "a push without an end would be no interval");
    }

    #[test]
    fn headers_go_with_each_push_and_are_not_shown() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:1");
        let settings = read(&[endpoint, ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a%20key, x-more=1")]).unwrap().unwrap();
        assert_eq!(settings.headers.get("x-key").unwrap(), "a key");
        assert_eq!(settings.headers.len(), 2);
        assert!(!format!("{settings:?}").contains("a key"), "{settings:?}");
        assert!(read(&[endpoint, ("OTEL_EXPORTER_OTLP_HEADERS", "nothing")]).is_err());
    }

    #[test]
    fn an_endpoint_that_cannot_be_used_is_told_at_once() {
        for url in ["https://a:1", "collector:4317", "http://"] {
            assert!(read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", url)]).is_err(), "{url}");
        }
    }
}
