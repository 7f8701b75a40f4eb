use std::fs;

use super::*;

fn read(of: Signal, variables: &[(&str, &str)]) -> Result<Option<Collector>, TelemetryError> {
    let find = |name: &str| variables.iter().find(|(known, _)| *known == name);
    Collector::read(of, &|name| find(name).map(|(_, value)| (*value).to_owned()))
}

/// What is told of variables that cannot be followed.
fn refused(variables: &[(&str, &str)]) -> String {
    read(Signal::Metrics, variables).expect_err("it cannot be followed").to_string()
}

const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:1");

#[test]
fn nothing_is_sent_unless_an_endpoint_is_named() {
    for (of, other, exporter) in [
        (Signal::Metrics, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_METRICS_EXPORTER"),
        (Signal::Traces, "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_TRACES_EXPORTER"),
    ] {
        assert!(read(of, &[]).unwrap().is_none());
        assert!(read(of, &[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]).unwrap().is_none());
        assert!(read(of, &[(other, "http://a:1")]).unwrap().is_none());
        assert!(read(of, &[ENDPOINT, (exporter, "none")]).unwrap().is_none());
        assert!(read(of, &[ENDPOINT, (exporter, "prometheus, otlp")]).unwrap().is_some());
        assert!(read(of, &[ENDPOINT]).unwrap().is_some());
    }
}

#[test]
fn what_is_said_of_one_kind_goes_before_what_is_said_of_all() {
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:1"),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://metrics:2"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "5"),
    ];
    let [traces, metrics] = [Signal::Traces, Signal::Metrics].map(|of| read(of, &variables).unwrap().unwrap());
    assert_eq!(traces.endpoint.uri().authority().unwrap(), "all:1");
    assert_eq!(metrics.endpoint.uri().authority().unwrap(), "metrics:2");
    assert_eq!((traces.timeout, metrics.timeout), (Duration::from_millis(5), Duration::from_millis(5)));
}

#[test]
fn headers_are_sent_and_not_shown() {
    let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a%20key, X-More=1");
    let collector = read(Signal::Traces, &[ENDPOINT, headers]).unwrap().unwrap();
    assert_eq!(collector.headers.get("x-key").unwrap(), "a key");
    assert_eq!(collector.headers.len(), 2);
    assert!(!format!("{collector:?}").contains("a key"), "{collector:?}");
    let mut request = Request::new(());
    request.metadata_mut().insert("x-key", "canary".parse().unwrap());
    let request = unseen(request).unwrap();
    assert!(!format!("{request:?}").contains("canary"), "{request:?}");
}

#[test]
fn headers_that_are_none_are_told_of_without_what_they_say() {
    for headers in ["canary", "x-key=a,canary", "x key=canary", "x-key=%ff-canary", "x-key=can%0aary"] {
        let told = refused(&[ENDPOINT, ("OTEL_EXPORTER_OTLP_HEADERS", headers)]);
        assert_eq!(told, "OTEL_EXPORTER_OTLP_HEADERS: must read name=value,name=value", "{headers}");
    }
}

#[test]
fn an_endpoint_that_cannot_be_used_is_told_at_once() {
    for url in ["ftp://a:1", "collector:4317", "http://"] {
        let told = refused(&[("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", url)]);
        assert!(told.starts_with("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: "), "{url}: {told}");
    }
}

#[test]
fn an_authority_that_cannot_be_used_is_told_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for path in [file("empty", "nothing"), file("broken", broken), "no/such/file".to_owned()] {
        let secured = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://a:1");
        let told = refused(&[secured, ("OTEL_EXPORTER_OTLP_CERTIFICATE", &path)]);
        assert!(told.starts_with("OTEL_EXPORTER_OTLP_CERTIFICATE: "), "{path}: {told}");
    }
}
