//! Where spans and metrics are sent, as the environment says in OpenTelemetry's variables. Source:
//! <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>
//!
//! Headers hold keys of hosted collectors: their values stand in no error and no log.

#[cfg(test)]
pub(crate) mod secured;
mod trust;

use std::{path::Path, str::FromStr as _, time::Duration};

use tonic::{
    Request, Status,
    metadata::{Ascii, KeyAndMutValueRef, MetadataKey, MetadataMap, MetadataValue},
    transport::Endpoint,
};

use crate::TelemetryError;

/// For what is sent to be answered.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Traces,
    Metrics,
}

impl Signal {
    /// As the variables have it.
    const fn name(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Metrics => "METRICS",
        }
    }
}

/// A variable of this process's environment.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// What a variable says. What is empty counts as not set.
pub(crate) fn set(variables: &impl Fn(&str) -> Option<String>, name: &str) -> Option<String> {
    variables(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

/// Where one kind of them goes.
#[derive(Debug, Clone)]
pub(crate) struct Collector {
    pub(crate) endpoint: Endpoint,
    pub(crate) headers: MetadataMap,
    pub(crate) timeout: Duration,
}

impl Collector {
    /// None where nobody wants them: no endpoint is named, or another exporter than OTLP.
    ///
    /// # Errors
    /// A variable that cannot be followed.
    pub(crate) fn read(
        of: Signal,
        variables: &impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, TelemetryError> {
        let of = of.name();
        let exporters = set(variables, &format!("OTEL_{of}_EXPORTER"));
        if exporters.is_some_and(|exporters| exporters.split(',').all(|one| one.trim() != "otlp")) {
            return Ok(None);
        }
        // What is said of one kind goes before what is said of all.
        let says = |what: &str| {
            let names = [format!("OTEL_EXPORTER_OTLP_{of}_{what}"), format!("OTEL_EXPORTER_OTLP_{what}")];
            names.into_iter().find_map(|name| set(variables, &name).map(|value| Said { name, value }))
        };
        let Some(endpoint) = says("ENDPOINT") else { return Ok(None) };
        let timeout = says("TIMEOUT").and_then(|said| millis(&said.value)).unwrap_or(TIMEOUT);
        Ok(Some(Self {
            endpoint: self::endpoint(&endpoint, says("CERTIFICATE"))?.connect_timeout(timeout),
            headers: says("HEADERS").map(|said| headers(&said)).transpose()?.unwrap_or_default(),
            timeout,
        }))
    }
}

/// A variable that is set.
#[derive(Debug)]
struct Said {
    name: String,
    value: String,
}

impl Said {
    fn cannot_be_followed(&self, why: impl Into<String>) -> TelemetryError {
        TelemetryError::Variable { name: self.name.clone(), why: why.into() }
    }
}

fn endpoint(url: &Said, authority: Option<Said>) -> Result<Endpoint, TelemetryError> {
    let endpoint = Endpoint::from_str(&url.value).map_err(|_| url.cannot_be_followed("is no URL"))?;
    match endpoint.uri().scheme_str() {
        Some("http") => Ok(endpoint),
        Some("https") => {
            let asked = authority.as_ref().unwrap_or(url);
            let tls = trust::of(authority.as_ref().map(|said| Path::new(&said.value)));
            let tls = tls.map_err(|why| asked.cannot_be_followed(why))?;
            endpoint
                .tls_config(tls)
                .map_err(|error| url.cannot_be_followed(format!("cannot be used with TLS: {error}")))
        }
        _ => Err(url.cannot_be_followed("must begin with http:// or https://")),
    }
}

/// As in the specification: `name=value,name=value`, each percent-encoded. They may hold keys, so nothing shows them.
fn headers(said: &Said) -> Result<MetadataMap, TelemetryError> {
    let mut headers = MetadataMap::new();
    for pair in said.value.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (name, value) = header(pair).ok_or_else(|| said.cannot_be_followed("must read name=value,name=value"))?;
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

/// For an exporter that reads the headers by itself: no library on the way shows what they say.
pub(crate) fn unseen(mut request: Request<()>) -> Result<Request<()>, Status> {
    for header in request.metadata_mut().iter_mut() {
        match header {
            KeyAndMutValueRef::Ascii(_, value) => value.set_sensitive(true),
            KeyAndMutValueRef::Binary(_, value) => value.set_sensitive(true),
        }
    }
    Ok(request)
}

/// Milliseconds; as the specification wants, what is no number is as if it was not set.
pub(crate) fn millis(text: &str) -> Option<Duration> {
    text.parse().ok().filter(|millis| *millis > 0).map(Duration::from_millis)
}

#[cfg(test)]
mod tests;
